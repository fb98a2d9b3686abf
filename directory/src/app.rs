//! The whole program: `Config → build() → App → start()`. In `build` folders, keys and database are made or read and
//! every socket is bound; in `start` they are served. A test boots the very same.

use std::{fs::File, net::SocketAddr, os::unix::fs::PermissionsExt, sync::Arc};

use anyhow::Context;
use axum::{Router, middleware::from_fn_with_state};
use jiff::Timestamp;
use p2p_service::{
    accept::{self, AcceptLimits, SocketName},
    lifecycle::Lifecycle,
    logging,
    metrics::{bind_metrics, serve_metrics},
    notify,
    paths::{create_private_dir, default_paths, lock_dir},
    watchdog::{Watchdog, Watching},
};
use tokio::net::{TcpListener, UnixListener};

use crate::{
    accounts::password::Passwords,
    admin,
    ca::{authority::Authority, grants::Grants},
    certificate::{CurrentCertificate, renew_task},
    clock::Clock,
    config::{Config, PROGRAM},
    leases::sweep_task,
    metrics::{Metrics, count_requests},
    names::server_names,
    reload::{Reload, Reloader, Reloading},
    routes,
    serving::{Limits, Origin, Protocol, Refusals, Serving},
    state::{Parts, Settings, State},
    storage::{Sqlite, Storage},
};

/// A directory whose sockets are bound.
pub struct App {
    config: Config,
    state: Arc<State>,
    certificate: Arc<CurrentCertificate>,
    renew_at: Timestamp,
    listeners: Vec<TcpListener>,
    metrics: Option<TcpListener>,
    addresses: Vec<SocketAddr>,
    admin: (UnixListener, SocketName),
    url: String,
    lock: File,
    bounds: Bounds,
}

/// How many connections there may be, and how long they may take for what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Before TLS is made.
    pub accept: AcceptLimits,
    /// From then on, and on the admin socket.
    pub http: Limits,
}

/// A directory that runs.
pub struct Running {
    /// Applies a changed configuration.
    pub reloader: Reloader,
    state: Arc<State>,
    watching: Watching,
    // Held as long as the state folder is in use.
    _lock: File,
}

impl App {
    /// Makes or reads what there is, and binds.
    ///
    /// # Errors
    /// When a file, the database or a socket cannot be had.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let state_dir = &config.state_dir;
        create_private_dir(state_dir, 0o700)
            .with_context(|| format!("cannot make {}", state_dir.display()))?;
        let lock = lock_dir(state_dir, PROGRAM)?;
        let state = Arc::new(open_state(&config, clock).await?);
        let names = server_names(&config.api.names);
        let (certificate, renew_at) =
            CurrentCertificate::new(state_dir.clone(), state.clone(), names.clone())?;
        let listeners = accept::bind(&config.api.listen)?;
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<Vec<_>, _>>()?;
        let metrics = bind_metrics(config.metrics.listen)?;
        let admin = bind_admin(&config)?;
        Ok(Self {
            url: url(&names, &addresses),
            certificate: Arc::new(certificate),
            config,
            state,
            renew_at,
            listeners,
            metrics,
            addresses,
            admin,
            lock,
            bounds: Bounds::default(),
        })
    }

    /// With other bounds on connections.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Where the API listens, in the order configured.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What requests share.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Serves until the life cycle stops. A reload goes by `reloading`.
    ///
    /// # Errors
    /// When the system has no thread for the watchdog.
    pub fn start(self, lifecycle: &Lifecycle, reloading: Reloading) -> anyhow::Result<Running> {
        let refusals = Arc::new(Refusals::default());
        let serving = |router| Serving {
            router,
            limits: self.bounds.http,
            lifecycle: lifecycle.clone(),
            refusals: refusals.clone(),
        };
        let metrics = Metrics::new(self.state.clone());
        let counted = |router: Router| router.layer(from_fn_with_state(metrics.requests(), count_requests));
        let api = serving(counted(routes::router(self.state.clone())));
        let tls = self.certificate.served();
        let accepting = accept::serve_tls(
            self.listeners,
            tls,
            self.bounds.accept,
            lifecycle.clone(),
            move |stream, from| {
                let protocol = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Protocol::Http2,
                    _ => Protocol::Http1,
                };
                api.clone().connection(stream, protocol, Origin::Address(from))
            },
        );
        let admin_router = counted(admin::server::router(self.state.clone()).merge(metrics.router()));
        let admin = admin::server::accept_task(self.admin, serving(admin_router));
        let (reload, reloader) = Reload::new(
            self.state.clone(),
            self.certificate.clone(),
            self.config,
            reloading,
        );
        lifecycle.spawn("api", accepting);
        lifecycle.spawn("admin", admin);
        spawn_until_stop(lifecycle, "sweeper", sweep_task(self.state.clone()));
        spawn_until_stop(
            lifecycle,
            "certificate",
            renew_task(self.certificate, self.renew_at),
        );
        spawn_until_stop(lifecycle, "reload", reload.task());
        if let Some(listener) = self.metrics {
            let metrics = metrics.clone();
            let render = move || {
                let metrics = metrics.clone();
                async move { metrics.page().await }
            };
            lifecycle.spawn("metrics", serve_metrics(listener, render, lifecycle.clone()));
        }
        watch_over(metrics, lifecycle);
        let fingerprint = self.state.authority.fingerprint();
        tracing::info!("p2p-directory runs at {}, CA {fingerprint}", self.url);
        notify::ready();
        let storage = self.state.storage.clone();
        let watchdog = Watchdog::default().over("the database", move || {
            let storage = storage.clone();
            async move { Ok(storage.check().await?) }
        });
        Ok(Running {
            reloader,
            state: self.state,
            watching: watchdog.start()?,
            _lock: self.lock,
        })
    }
}

impl Running {
    /// Closes what is still open, after the life cycle has ended.
    pub async fn close(self) {
        // What is closed next would not answer.
        drop(self.watching);
        self.state.storage.close().await;
    }
}

/// Boots a directory and serves until the life cycle stops.
///
/// # Errors
/// When it cannot be built, or a task of it died.
pub async fn run(config: Config, clock: Arc<dyn Clock>, lifecycle: Lifecycle) -> anyhow::Result<()> {
    let running = App::build(config, clock)
        .await?
        .start(&lifecycle, Reloading::default())?;
    lifecycle.soft().cancelled().await;
    lifecycle.tracker().close();
    lifecycle.tracker().wait().await;
    running.close().await;
    anyhow::ensure!(!lifecycle.failed(), "a task of the directory died");
    Ok(())
}

/// Makes the CA, the keys and the database, or reads them.
///
/// # Errors
/// When one of them cannot be had.
pub async fn open_state(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<State> {
    let now = clock.now();
    let file = config.database_file();
    let storage = Sqlite::open(&file, clock.clone()).await;
    let storage: Arc<dyn Storage> = Arc::new(storage.with_context(|| file.display().to_string())?);
    // Whether this build knows the files at all, the database says.
    let authority = Authority::load_or_create(&config.state_dir, now)?;
    let grants = Grants::load_or_create(&config.state_dir)?;
    Ok(State::from(Parts {
        cluster: storage.cluster().await?,
        state_dir: config.state_dir.clone(),
        storage,
        authority,
        grants,
        passwords: Passwords::new()?,
        clock,
        settings: Settings {
            liveness: config.liveness,
            session: config.session,
            limits: config.limits,
        },
    }))
}

/// Counts, keeps the status line, and tells what the log left out.
fn watch_over(metrics: Metrics, lifecycle: &Lifecycle) {
    spawn_until_stop(lifecycle, "figures", metrics.clone().count_task());
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("status", async move {
        notify::keep_status(soft, || std::future::ready(metrics.status_line())).await;
        Ok(())
    });
    let floods = logging::tell_floods(lifecycle.soft().clone());
    lifecycle.spawn("log", async move {
        floods.await;
        Ok(())
    });
}

/// For tasks without an end of their own.
fn spawn_until_stop(
    lifecycle: &Lifecycle,
    name: &'static str,
    task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) {
    let stop = lifecycle.soft().clone();
    lifecycle.spawn(name, async move {
        tokio::select! {
            ended = task => ended,
            () = stop.cancelled() => Ok(()),
        }
    });
}

/// Open to the group of that name where there is one; else to its own user, and as a service to its group.
fn bind_admin(config: &Config) -> anyhow::Result<(UnixListener, SocketName)> {
    let paths = default_paths(PROGRAM);
    let folder = &config.runtime_dir;
    create_private_dir(folder, if paths.system { 0o755 } else { 0o700 })
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let group = matches!(nix::unistd::Group::from_name(PROGRAM), Ok(Some(_))).then_some(PROGRAM);
    let mode = if paths.system || group.is_some() {
        0o660
    } else {
        0o600
    };
    let socket = config.admin_socket();
    let listener = accept::bind_unix(&socket, mode, group).with_context(|| socket.display().to_string())?;
    let found = std::fs::metadata(&socket)?.permissions().mode() & 0o777;
    anyhow::ensure!(
        found == mode,
        "{}: mode is {found:o}, not {mode:o}",
        socket.display()
    );
    let name = SocketName::of(&socket)?;
    Ok((listener, name))
}

/// What to show as the address of a directory with these names, that listens there.
pub(crate) fn url(names: &[String], addresses: &[SocketAddr]) -> String {
    let name = names.first().map_or("localhost", String::as_str);
    let name = if name.contains(':') {
        format!("[{name}]")
    } else {
        name.to_owned()
    };
    let port = addresses
        .first()
        .map_or(p2p_proto::DIRECTORY_PORT, SocketAddr::port);
    format!("https://{name}:{port}")
}
