//! Who stands between a provider's pods and everybody else, and what he does there.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use casemate_ra_tls::{EXPORTER_LABEL, http};
use casemate_tests::Careless;
use rcgen::KeyPair;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// Longer than any of it takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 4 << 20;

/// A certificate and a key, which need not belong together.
pub(crate) type Identity = Arc<ServerConfig>;

/// What somebody asked who believed to talk to an agent.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The exporter of the connection, as its server sees it.
    pub(crate) channel: [u8; 32],
}

type Answer = Box<dyn Fn(&Asked) -> Result<(u16, Vec<u8>)> + Send + Sync>;

/// What he does with a connection.
pub(crate) enum Way {
    /// He hangs up.
    Closed,
    /// Passes the bytes on.
    Through(SocketAddr),
    /// Plain HTTP: passes questions on, but nobody gets the answers from this path.
    Steals(SocketAddr, &'static str),
    /// Ends TLS, and passes on what was said over a connection of his own.
    Ends(Identity, SocketAddr),
    /// Ends TLS, and answers himself.
    Answers(Identity, Answer),
}

/// What he saw.
#[derive(Debug, Default)]
struct Seen {
    /// All that was said, as he can read it.
    bytes: Vec<u8>,
    /// What was asked for where he ends TLS: method and path.
    asked: Vec<String>,
    /// Answers that nobody got.
    stolen: Vec<Vec<u8>>,
}

/// An address at which somebody listens who is not whom callers want.
pub(crate) struct Middle {
    address: SocketAddr,
    way: Arc<Mutex<Arc<Way>>>,
    seen: Arc<Mutex<Seen>>,
}

impl Middle {
    /// Listens on loopback; closed at first.
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for a proxy")?;
        let address = listener.local_addr()?;
        let way = Arc::new(Mutex::new(Arc::new(Way::Closed)));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (ways, saw) = (Arc::clone(&way), Arc::clone(&seen));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (way, seen) = (Arc::clone(&ways.lock().unwrap()), Arc::clone(&saw));
                // Who finds out hangs up: no error of the test's.
                thread::spawn(move || way.serve(stream, &seen));
            }
        });
        Ok(Self { address, way, seen })
    }

    /// Where he listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the next connection on.
    pub(crate) fn now(&self, way: Way) {
        *self.way.lock().unwrap() = Arc::new(way);
    }

    /// Whether these bytes were said where he could read them.
    pub(crate) fn has_seen(&self, wanted: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    }

    /// What he was asked for since the last time.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap().asked)
    }

    /// Answers that he kept, oldest first.
    pub(crate) fn stolen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().stolen.clone()
    }
}

impl Way {
    fn serve(&self, stream: TcpStream, seen: &Arc<Mutex<Seen>>) -> Result<()> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        match self {
            Self::Closed => Ok(()),
            Self::Through(to) => through(stream, *to, seen),
            Self::Steals(to, path) => steals(stream, *to, path, seen),
            Self::Ends(identity, to) => {
                let mut tls = accept(stream, identity)?;
                let name = tls.conn.server_name().unwrap_or("agent.invalid").to_owned();
                let mut onward = Careless::connect(*to, &name)?;
                loop {
                    let mut buffer = vec![0; 1 << 16];
                    let read = tls.read(&mut buffer)?;
                    if read == 0 {
                        return Ok(());
                    }
                    buffer.truncate(read);
                    seen.lock().unwrap().bytes.extend_from_slice(&buffer);
                    let answer = onward.exchange(&buffer)?;
                    seen.lock().unwrap().bytes.extend_from_slice(&answer);
                    tls.write_all(&answer)?;
                    tls.flush()?;
                }
            }
            Self::Answers(identity, answer) => {
                let mut tls = accept(stream, identity)?;
                let channel = tls.conn.export_keying_material([0; 32], EXPORTER_LABEL, None)?;
                let mut read_ahead = Vec::new();
                loop {
                    let asked = http::read(&mut tls, &mut read_ahead, BODY_BYTES_MAX, true)?;
                    let [method, target, _] = asked.start;
                    let path = target.split('?').next().unwrap_or_default();
                    {
                        let mut seen = seen.lock().unwrap();
                        seen.bytes.extend_from_slice(&asked.body);
                        seen.asked.push(format!("{method} {path}"));
                    }
                    let (status, body) = answer(&Asked { method, target, channel })?;
                    http::answer(&mut tls, status, &body, false)?;
                }
            }
        }
    }
}

/// Both ways at once, until both ends have closed.
fn through(stream: TcpStream, to: SocketAddr, seen: &Arc<Mutex<Seen>>) -> Result<()> {
    let onward = TcpStream::connect_timeout(&to, TIMEOUT)?;
    let (from, back) = (stream.try_clone()?, onward.try_clone()?);
    let kept = Arc::clone(seen);
    let there = thread::spawn(move || pump(from, onward, &kept));
    pump(back, stream, seen);
    let _ = there.join();
    Ok(())
}

fn pump(mut from: TcpStream, mut to: TcpStream, seen: &Mutex<Seen>) {
    let mut buffer = [0; 1 << 14];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        seen.lock().unwrap().bytes.extend_from_slice(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn steals(
    mut stream: TcpStream,
    to: SocketAddr,
    path: &str,
    seen: &Arc<Mutex<Seen>>,
) -> Result<()> {
    let mut first = vec![0; 1 << 14];
    let read = stream.read(&mut first)?;
    first.truncate(read);
    let line = String::from_utf8_lossy(&first).lines().next().unwrap_or_default().to_owned();
    let mut onward = TcpStream::connect_timeout(&to, TIMEOUT)?;
    onward.write_all(&first)?;
    if line.split(' ').nth(1) != Some(path) {
        seen.lock().unwrap().bytes.extend_from_slice(&first);
        let back = onward.try_clone()?;
        let (from, answers) = (stream.try_clone()?, stream);
        let kept = Arc::clone(seen);
        thread::spawn(move || pump(from, onward, &kept));
        pump(back, answers, seen);
        return Ok(());
    }
    // The rest of the question, and then the answer, which ends here.
    onward.set_read_timeout(Some(TIMEOUT))?;
    let (mut from, mut there) = (stream.try_clone()?, onward.try_clone()?);
    thread::spawn(move || std::io::copy(&mut from, &mut there));
    let answer = http::read(&mut onward, &mut Vec::new(), BODY_BYTES_MAX, false)?;
    ensure!(answer.start[1] == "200", "{:?}", answer.start);
    let mut seen = seen.lock().unwrap();
    seen.bytes.extend_from_slice(&answer.body);
    seen.stolen.push(answer.body);
    drop(seen);
    stream.shutdown(Shutdown::Both)?;
    onward.shutdown(Shutdown::Both)?;
    Ok(())
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

fn accept(stream: TcpStream, identity: &Identity) -> Result<Tls> {
    stream.set_nodelay(true)?;
    let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(identity))?, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

/// A server with this certificate and this key, whether they belong together or not.
pub(crate) fn identity(certificate: CertificateDer<'static>, key: &KeyPair) -> Result<Identity> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|reason| anyhow::anyhow!("a key is none: {reason}"))?;
    let key = provider.key_provider.load_private_key(key)?;
    let certified = Arc::new(rustls::sign::CertifiedKey::new(vec![certificate], key));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Fixed(certified)));
    Ok(Arc::new(config))
}

/// An ordinary server's, good for any name that a CA would sign.
pub(crate) fn ordinary(name: &str) -> Result<Identity> {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()])?;
    identity(made.cert.der().clone(), &made.signing_key)
}

#[derive(Debug)]
struct Fixed(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Fixed {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
