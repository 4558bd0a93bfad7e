//! Starts the HTTP server behind the listener.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rocket::{
    Build, Data, Request, Rocket,
    fairing::{AdHoc, Fairing, Info, Kind},
};
use tokio::{sync::oneshot, time::timeout};

use crate::listener::{Clients, Listener};

/// How long connections may take to send their last bytes after the server has ended.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// Serves until a signal arrives. In-flight requests finish first.
///
/// # Errors
/// When the server cannot start, or cannot end well.
pub async fn launch(rocket: Rocket<Build>, listener: Listener) -> Result<(), Box<rocket::Error>> {
    let (tell, mut told) = oneshot::channel();
    let clients = KnownClients(listener.clients());
    let mut start = Some((tell, listener));
    let begin = AdHoc::on_liftoff("listener", move |rocket| {
        if let Some((tell, listener)) = start.take() {
            let server = SocketAddr::from((Ipv4Addr::LOCALHOST, rocket.config().port));
            // Whoever does not wait for the listener's end lets it run.
            let _ = tell.send(tokio::spawn(listener.serve(server, rocket.shutdown())));
        }
        Box::pin(async {})
    });
    let served = rocket.attach(clients).attach(begin).launch().await;
    if let Ok(listening) = told.try_recv() {
        let _ = timeout(LAST_BYTES, listening).await;
    }
    served.map(drop).map_err(Box::new)
}

/// Tells requests who is behind the listener.
struct KnownClients(Arc<Clients>);

#[rocket::async_trait]
impl Fairing for KnownClients {
    fn info(&self) -> Info {
        Info { name: "clients", kind: Kind::Request }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        // Whoever did not come through the listener, or has left, is nobody: not this machine, and no proxy.
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let client = request.remote().and_then(|ours| self.0.of(ours));
        request.set_remote(client.unwrap_or(nobody));
    }
}
