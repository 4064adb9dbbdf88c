//! The software TEE in which the pods of a cluster run.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use casemate_attestation::{TrustRoots, x509::Certificate};
use casemate_software_tee::{Directory, Misbehaviour, client::Control};
use serde_json::Value;

use crate::{
    poll::PATIENCE,
    process::{Process, log_path, tail, without_settings},
    user::write_private_bytes,
};

/// A `casemate-software-tee` that can be killed and started again.
#[derive(Debug)]
pub struct SoftwareTee {
    program: PathBuf,
    dir: PathBuf,
    control: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

/// Keys and certificates that this process has made, with their paths below the folder: RSA keys take
/// seconds. They are kept in memory, so that nothing is left behind on the disk.
static KEYS: Mutex<Option<Vec<(PathBuf, Vec<u8>)>>> = Mutex::new(None);

impl SoftwareTee {
    /// With the keys that all clusters of this process share. Nothing runs yet.
    ///
    /// # Errors
    /// The program or the disk refuses.
    pub fn new(program: &Path, folder: &Path) -> Result<Self> {
        let tee = Self {
            program: program.to_owned(),
            dir: folder.join("software-tee"),
            control: folder.join("software-tee.sock"),
            log: log_path(folder, "software-tee"),
            process: None,
        };
        let pki = tee.dir.join("pki");
        let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
        match &*keys {
            Some(files) => write_all(&tee.dir, &pki, files)?,
            None => {
                tee.ask(&["init", "--dir", &tee.dir.display().to_string()])?;
                let mut files = Vec::new();
                read_all(&pki, Path::new(""), &mut files)?;
                *keys = Some(files);
            }
        }
        drop(keys);
        Ok(tee)
    }

    /// The roots of its evidence.
    ///
    /// # Errors
    /// The program refuses.
    pub fn roots(&self) -> Result<TrustRoots> {
        let roots = self.ask(&["roots", "--dir", &self.dir.display().to_string()])?;
        serde_json::from_value(roots).context("`casemate-software-tee roots` names no roots")
    }

    /// What a guest with this agent is measured as.
    ///
    /// # Errors
    /// The program refuses.
    pub fn workload(&self, agent: &Path) -> Result<Vec<u8>> {
        let agent = agent.display().to_string();
        let manifest = "00".repeat(32);
        let args =
            ["measure", "--kind", "intelTdx", "--agent", &agent, "--manifest-hash", &manifest];
        let measured = self.ask(&args)?;
        let digits =
            measured["workload"].as_str().with_context(|| format!("no workload: {measured}"))?;
        hex::decode(digits).context("a measurement is no hex")
    }

    /// A list of AMD's as of this second, and the root that signed it, in DER: the ordinary one, or
    /// one that revokes all machines here.
    ///
    /// # Errors
    /// The keys can't be read.
    pub fn amd_list(&self, now: u64, revokes_all: bool) -> Result<(Vec<u8>, Vec<u8>)> {
        let tee = Directory::open(&self.dir)?;
        let misbehave = [Misbehaviour::RevokedAsk];
        let misbehave = if revokes_all { &misbehave[..] } else { &[] };
        let made = tee.pki().collateral(now, tee.validity(), misbehave)?.amd;
        let ark = Certificate::chain_from_pem(made.ark.as_bytes())
            .ok()
            .and_then(|chain| chain.into_iter().next())
            .context("the software TEE's ARK is no certificate")?;
        Ok((made.crl, ark.der().to_vec()))
    }

    /// Starts the daemon, unless it runs, and waits until it answers.
    ///
    /// # Errors
    /// It can't be started, ends or does not answer.
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let mut command = Command::new(&self.program);
        without_settings(&mut command);
        command.arg("serve").arg("--dir").arg(&self.dir).arg("--control").arg(&self.control);
        let control = self.control_client();
        let process = Process::start("software-tee", &mut command, &self.log)?;
        let process = self.process.insert(process);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = process.ended()? {
                bail!("the software TEE ended by itself ({status}):\n{}", tail(&self.log, 20));
            }
            match control.list() {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).context("the software TEE does not answer");
                }
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Its control socket.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// A client at the control socket.
    pub fn control_client(&self) -> Control {
        Control::new(&self.control)
    }

    /// File with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn ask(&self, args: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.program);
        without_settings(&mut command);
        let output = command
            .args(args)
            .output()
            .with_context(|| format!("cannot start `{}`", self.program.display()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("`casemate-software-tee {}` failed ({}): {words}", args[0], output.status);
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`casemate-software-tee {}` prints no JSON", args[0]))
    }
}

fn read_all(folder: &Path, below: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    for entry in fs::read_dir(folder.join(below)).context("cannot list the software TEE's keys")? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read_all(folder, &path, files)?;
        } else {
            files.push((path.clone(), fs::read(folder.join(path))?));
        }
    }
    Ok(())
}

/// Only the owner may read keys: others are refused.
fn write_all(dir: &Path, pki: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    let private = |folder: &Path| DirBuilder::new().recursive(true).mode(0o700).create(folder);
    private(dir).context("cannot make the software TEE's folder")?;
    for (path, bytes) in files {
        let path = pki.join(path);
        private(path.parent().unwrap_or(pki))?;
        write_private_bytes(&path, bytes)?;
    }
    Ok(())
}
