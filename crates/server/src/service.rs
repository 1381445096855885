//! A service's run: its ports are bound, it serves with all its background work, and it drains.
//!
//! A service adds its ports and its work, one line each. The order of the end is the same for every service: the signal
//! begins the drain, the ports close, the tasks end, and the admin port answers until then.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::{BoxFuture, select_all, try_join_all};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Answers, Pages, Readiness};
use crate::listen::{self, Accepted, Places};
use crate::metrics::Exposition;
use crate::stop::Drain;

/// A port that is bound, with the setting that says where.
#[derive(Debug)]
pub struct Port {
    setting: &'static str,
    listener: TcpListener,
}

impl Port {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// Says which `setting` and address could not be bound, and why.
    pub fn bind(setting: &'static str, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { setting, listener: listen::bind(setting, address)? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }
}

/// What a service does until its end.
pub struct Service<'s> {
    drain: Drain,
    ports: Vec<BoxFuture<'s, anyhow::Result<()>>>,
    work: Vec<BoxFuture<'s, ()>>,
    pages: Option<Pages>,
}

impl<'s> Service<'s> {
    /// A service without ports or work, which ends with `drain`.
    #[must_use]
    pub fn new(drain: &Drain) -> Self {
        Self { drain: drain.clone(), ports: Vec::new(), work: Vec::new(), pages: None }
    }

    /// Accepts at `port` until the drain closes it. Each connection is `handle`d by a task that the drain waits for, at
    /// most as many at once as there are `places`.
    pub fn port<H, F>(&mut self, port: Port, places: Places, handle: H)
    where
        H: FnMut(Accepted) -> F + Send + 's,
        F: Future<Output = ()> + Send + 'static,
    {
        let Port { setting, listener } = port;
        let (closed, tasks) = (self.drain.closed().clone(), self.drain.tasks().clone());
        self.ports.push(Box::pin(async move {
            listen::accept(listener, places, closed, tasks, handle).await.context(setting)
        }));
    }

    /// Does `work` until everything else has ended. It should not end before that: the service then ends as if the
    /// drain time had been too short.
    pub fn work(&mut self, work: impl Future<Output = ()> + Send + 's) {
        self.work.push(Box::pin(work));
    }

    /// Answers at the admin port's other paths.
    pub fn pages(&mut self, pages: Pages) {
        self.pages = Some(pages);
    }

    /// Serves until `stopped`, then drains. Operators ask at `admin`, which answers from `registry` and `ready`. Says
    /// whether everything ended within the drain time.
    ///
    /// # Errors
    /// When a listening socket itself fails; the error names its setting.
    pub async fn run(
        self,
        admin: Port,
        registry: Registry,
        ready: Readiness,
        stopped: impl Future<Output = ()>,
    ) -> anyhow::Result<bool> {
        let Self { drain, ports, work, pages } = self;
        // The admin port answers until the very end.
        let ended = CancellationToken::new();
        let _end = ended.clone().drop_guard();
        let answers = Answers { registry: Arc::new(Exposition::of(registry)), ready, pages };
        let operators = admin::serve(admin.listener, answers, ended.clone(), TaskTracker::new());
        let serving = async {
            let draining = async {
                drain.begin_when(stopped).await;
                Ok(())
            };
            tokio::try_join!(try_join_all(ports), draining)?;
            Ok(drain.finish().await)
        };
        let working = async {
            match work.is_empty() {
                true => pending().await,
                false => drop(select_all(work).await),
            }
        };
        tokio::select! {
            served = serving => served,
            failed = operators => failed.context(admin.setting).map(|()| false),
            () = working => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    fn bound() -> (Port, SocketAddr) {
        let port = Port::bind("TEST_LISTEN", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port.address().unwrap();
        (port, address)
    }

    /// Runs `service` until `stopped`; says how it ended.
    async fn run(service: Service<'_>, admin: Port, stopped: impl Future<Output = ()>) -> bool {
        let ready: Readiness = Arc::new(|| Ok(None));
        service.run(admin, Registry::default(), ready, stopped).await.unwrap()
    }

    #[tokio::test]
    async fn a_service_serves_and_the_admin_port_answers_until_the_last_task_has_ended() {
        let drain = Drain::new(Duration::from_secs(2));
        let ((port, address), (admin, operators)) = (bound(), bound());
        let mut service = Service::new(&drain);
        service.port(port, Places::from(1), |mut accepted| async move {
            // It ends when the peer says so, which is long after the port was closed.
            let _ = accepted.stream.read_u8().await;
        });
        service.work(pending());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(run(service, admin, async { drop(stopped.await) }));

        let mut peer = TcpStream::connect(address).await.unwrap();
        stop.send(()).unwrap();
        drain.closed().cancelled().await;
        let closing = async { while TcpStream::connect(address).await.is_ok() {} };
        timeout(Duration::from_secs(20), closing).await.expect("the port is closed");
        let mut operator = TcpStream::connect(operators).await.unwrap();
        operator.write_all(b"GET /livez HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        operator.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        peer.write_u8(0).await.unwrap();
        assert!(running.await.unwrap(), "within the drain time");
        assert!(TcpStream::connect(operators).await.is_err());
    }

    #[tokio::test]
    async fn work_that_ends_ends_the_service_and_not_as_it_should() {
        let drain = Drain::new(Duration::from_secs(1));
        let mut service = Service::new(&drain);
        service.work(pending());
        service.work(async {});
        assert!(!run(service, bound().0, pending()).await);
    }
}
