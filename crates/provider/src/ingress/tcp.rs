//! TCP ports: a connection goes to one of the ready pods.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use super::{Pick, Shared};

/// Listeners by port. Dropping it closes them.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    tasks: JoinSet<()>,
    by_port: BTreeMap<u16, AbortHandle>,
}

impl Listeners {
    pub(super) fn ports(&self) -> Vec<u16> {
        self.by_port.keys().copied().collect()
    }

    /// Listens on exactly these ports; gives those that can't be had, with the reason.
    pub(super) fn update(
        &mut self,
        wanted: &[u16],
        address: IpAddr,
        shared: &Arc<Shared>,
    ) -> BTreeMap<u16, String> {
        while self.tasks.try_join_next().is_some() {}
        self.by_port.retain(|port, task| {
            let keep = wanted.contains(port) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        let mut failed = BTreeMap::new();
        for port in wanted {
            if self.by_port.contains_key(port) {
                continue;
            }
            match listen(SocketAddr::new(address, *port)) {
                Ok(listener) => {
                    let task = self.tasks.spawn(accept(listener, *port, Arc::clone(shared)));
                    self.by_port.insert(*port, task);
                }
                Err(err) => {
                    failed.insert(*port, err.to_string());
                }
            }
        }
        failed
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    // The standard library sets SO_REUSEADDR, so a restart is not kept waiting by old connections.
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(listener: TcpListener, port: u16, shared: Arc<Shared>) {
    loop {
        let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    carry(stream, port, &shared).await;
                    drop(permit);
                });
            }
            Err(err) => {
                shared.metrics.failed("ingress-accept");
                tracing::warn!(port, %err, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn carry(mut client: TcpStream, port: u16, shared: &Shared) {
    for _ in 0..TRIES_MAX {
        let table = shared.table();
        let Some(service) = table.tcp.get(&port) else { return };
        let in_flight = match service.pick() {
            Pick::One(in_flight) => in_flight,
            Pick::Moved => continue,
            Pick::Empty => return,
        };
        drop(table);
        let connect = TcpStream::connect(in_flight.endpoint().address());
        let Ok(Ok(mut pod)) = tokio::time::timeout(CONNECT_TIMEOUT, connect).await else {
            continue;
        };
        // These fail only for a connection that is gone already, as the copying then shows.
        let _ = (client.set_nodelay(true), pod.set_nodelay(true));
        let _ = tokio::io::copy_bidirectional(&mut client, &mut pod).await;
        return;
    }
}

const TRIES_MAX: usize = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
