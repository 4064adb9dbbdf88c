//! The software TEE's guest socket: a JSON line each way, on a connection of its own.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use casemate_primitives::TeeKind;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Attester, EVIDENCE_BYTES_MAX, EventLog, EvidenceError, RawEvidence, raw::Endorsements,
};

/// It signs in milliseconds; a loaded machine takes a hundred times as long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Evidence in hex, a log and certificates.
const ANSWER_BYTES_MAX: u64 = 4 * EVIDENCE_BYTES_MAX as u64;

/// Evidence from the software TEE.
#[derive(Debug)]
pub struct SoftwareTee {
    socket: PathBuf,
    kind: TeeKind,
}

/// What it answers. Fields that are not known are left alone: it is older or newer than we are.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    error: Option<String>,
    kind: Option<String>,
    evidence: Option<String>,
    event_log: Option<Value>,
    endorsements: Option<Value>,
}

impl SoftwareTee {
    /// Asks the software TEE at `socket` once, to know what it is.
    ///
    /// # Errors
    /// Where it does not answer with evidence.
    pub fn connect(socket: &Path) -> Result<Self, EvidenceError> {
        let kind = ask(socket, &[0; 64])?.kind;
        Ok(Self { socket: socket.to_owned(), kind })
    }
}

impl Attester for SoftwareTee {
    fn kind(&self) -> TeeKind {
        self.kind
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError> {
        // What it is over is not looked at here, as it is with hardware: it can be told to lie, so
        // that tests see the verifier refuse.
        ask(&self.socket, report_data)
    }
}

fn ask(socket: &Path, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError> {
    let io_error =
        |action| move |source| EvidenceError::Io { action, path: socket.to_owned(), source };
    let mut stream = UnixStream::connect(socket).map_err(io_error("connect to"))?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .and_then(|()| stream.set_write_timeout(Some(TIMEOUT)))
        .map_err(io_error("set a time-out on"))?;
    let request = format!("{}\n", json!({ "reportData": hex::encode(report_data) }));
    stream.write_all(request.as_bytes()).map_err(io_error("write to"))?;
    let mut line = Vec::new();
    BufReader::new(stream)
        .take(ANSWER_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .map_err(io_error("read from"))?;
    if line.pop() != Some(b'\n') {
        if line.len() as u64 + 1 >= ANSWER_BYTES_MAX {
            return Err(EvidenceError::TooLong { path: socket.to_owned() });
        }
        return Err(io_error("read from")(io::ErrorKind::UnexpectedEof.into()));
    }
    parse(&line).map_err(|err| match err {
        Bad::Refused(reason) => EvidenceError::Refused { path: socket.to_owned(), reason },
        Bad::Answer(problem) => EvidenceError::Answer { path: socket.to_owned(), problem },
    })
}

enum Bad {
    Refused(String),
    Answer(String),
}

fn parse(line: &[u8]) -> Result<RawEvidence, Bad> {
    let bad = |text: &str| Bad::Answer(text.to_owned());
    let answer: Answer =
        serde_json::from_slice(line).map_err(|err| Bad::Answer(format!("not its JSON: {err}")))?;
    if let Some(reason) = answer.error {
        return Err(Bad::Refused(reason.chars().take(500).collect()));
    }
    let kind = match answer.kind.as_deref() {
        Some("intelSgx") => TeeKind::IntelSgx,
        Some("intelTdx") => TeeKind::IntelTdx,
        Some("amdSevSnp") => TeeKind::AmdSevSnp,
        _ => return Err(bad("its `kind` is none of intelSgx, intelTdx, amdSevSnp")),
    };
    let evidence = answer.evidence.and_then(|text| hex::decode(text).ok()).unwrap_or_default();
    if evidence.is_empty() || evidence.len() > EVIDENCE_BYTES_MAX {
        return Err(bad("its `evidence` is not hex of a useful length"));
    }
    let event_log = match answer.event_log {
        None | Some(Value::Null) => None,
        Some(Value::Array(events)) if events.is_empty() => None,
        Some(log @ Value::Array(_)) => Some(EventLog::Json(log.to_string().into_bytes())),
        Some(_) => return Err(bad("its `eventLog` is no array")),
    };
    let endorsements = match answer.endorsements {
        None | Some(Value::Null) => None,
        Some(value @ Value::Object(_)) => Some(Endorsements::Json(value.to_string().into_bytes())),
        Some(_) => return Err(bad("its `endorsements` are no object")),
    };
    Ok(RawEvidence { kind, evidence, event_log, endorsements })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    /// Answers every connection with the same line; `R` stands for the report data.
    fn serve(answer: &'static str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guest.sock");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                let request: Value = serde_json::from_str(&line).unwrap();
                let data = request["reportData"].as_str().unwrap();
                assert_eq!(data.len(), 128);
                let _ = stream.write_all(answer.replace('R', data).as_bytes());
            }
        });
        (dir, path)
    }

    #[test]
    fn evidence_with_log_and_certificates_comes_through() {
        let (_dir, path) = serve(
            "{\"kind\":\"amdSevSnp\",\"evidence\":\"0102R\",\"eventLog\":[{\"event\":\"x\"}],\
             \"endorsements\":{\"vek\":\"..\"},\"new\":1}\n",
        );
        let tee = SoftwareTee::connect(&path).unwrap();
        assert_eq!(tee.kind(), TeeKind::AmdSevSnp);
        let evidence = tee.evidence(&[9; 64]).unwrap();
        assert_eq!(evidence.evidence, [[1, 2].as_slice(), &[9; 64]].concat());
        assert_eq!(evidence.event_log, Some(EventLog::Json(b"[{\"event\":\"x\"}]".to_vec())));
        assert!(evidence.endorsements.is_some());
    }

    #[test]
    fn a_refusal_is_told_in_its_words() {
        let (_dir, path) = serve("{\"error\":\"no such guest\"}\n");
        let err = SoftwareTee::connect(&path).unwrap_err();
        assert!(matches!(&err, EvidenceError::Refused { reason, .. } if reason == "no such guest"));
    }

    #[test]
    fn bad_answers_are_no_evidence() {
        for answer in [
            "nonsense\n",
            "{}\n",
            "{\"kind\":\"software\",\"evidence\":\"01\"}\n",
            "{\"kind\":\"intelTdx\",\"evidence\":\"0\"}\n",
            "{\"kind\":\"intelTdx\",\"evidence\":\"\"}\n",
            "{\"kind\":\"intelTdx\",\"evidence\":\"01\",\"eventLog\":3}\n",
        ] {
            let (_dir, path) = serve(answer);
            let err = SoftwareTee::connect(&path).unwrap_err();
            assert!(matches!(err, EvidenceError::Answer { .. }), "{answer} {err}");
        }
        let (_dir, path) = serve("{\"kind\":\"intelTdx\"");
        let err = SoftwareTee::connect(&path).unwrap_err();
        assert!(matches!(err, EvidenceError::Io { action: "read from", .. }), "{err}");
    }
}
