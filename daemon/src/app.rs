//! `Config → build → App → spawn`: sockets are bound in [`App::build`] and served after [`App::spawn`].

use std::{
    fs::File,
    future::ready,
    io,
    net::SocketAddr,
    os::unix::net::UnixListener as StdUnixListener,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use jiff::Timestamp;
use p2p_proto::ByteCount;
use p2p_service::{
    accept,
    accept::SocketName,
    lifecycle::Lifecycle,
    logging,
    metrics::{bind_metrics, serve_metrics},
    notify, paths,
    watchdog::Watching,
};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, alive,
    config::Live,
    control::{descriptors, health, rpc::ControlRpc, server, slots::Slots},
    directory::{
        index::Announcer,
        link::Link,
        pings::{self, Pinger},
    },
    events::Bus,
    identity::{by_config::MachineLogin, key::PeerKey, session::Sessions},
    meter::Meter,
    metrics,
    peer::{
        access::{Access, DirectoryGrants},
        rpc::Copies,
        server::PeerPort,
    },
    reload::{Reloader, Reloading},
    store::{Store, StoreConfig},
    transfer::{Transfers, heal::heal_task, limits::Limits, publish::Publisher},
};

/// A daemon whose sockets are bound.
pub struct App {
    control: Control,
    descriptors: (UnixListener, SocketName),
    peers: Vec<TcpListener>,
    metrics: Option<TcpListener>,
    rpc: ControlRpc,
    port: PeerPort,
    pinger: Pinger,
    lifecycle: Lifecycle,
    reloader: Reloader,
    state_lock: File,
}

/// The control socket.
struct Control {
    listener: UnixListener,
    /// Where it is; none for one that was handed over and has no name in the file system.
    path: Option<PathBuf>,
    /// Its name, when it was bound here.
    own: Option<SocketName>,
}

impl Control {
    /// The service manager's.
    fn handed_over(listener: StdUnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let path = listener.local_addr()?.as_pathname().map(Path::to_owned);
        let shown = path.as_deref().unwrap_or(Path::new("a socket without a name"));
        tracing::info!(
            "the service manager handed over the control socket, {}",
            shown.display()
        );
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            path,
            own: None,
        })
    }
}

/// A daemon that runs.
pub struct Running {
    /// Applies a changed configuration.
    pub reloader: Reloader,
    store: Store,
    bus: Bus,
    watching: Watching,
    // Held as long as the state folder is in use. The store has a lock of its own: it may be elsewhere.
    _state_lock: File,
}

impl App {
    /// Opens state and store, binds every socket but a control socket that was handed over.
    ///
    /// # Errors
    /// Whatever keeps the daemon from starting, with what it concerns.
    pub async fn build(
        config: Config,
        control: Option<StdUnixListener>,
        reloading: Reloading,
        lifecycle: Lifecycle,
    ) -> anyhow::Result<Self> {
        let state_dir = &config.state_dir;
        paths::create_private_dir(state_dir, 0o700).with_context(|| state_dir.display().to_string())?;
        let runtime_dir = &config.runtime_dir;
        paths::create_private_dir(runtime_dir, runtime_mode())
            .with_context(|| runtime_dir.display().to_string())?;
        let state_lock = paths::lock_dir(state_dir, "p2pd")?;
        let store = Store::open(StoreConfig {
            path: config.store_path(),
            max_size: config.store.max_size.0.map(|bytes| bytes.0),
            reserve_free: config.store.reserve_free.0,
        })
        .await?;
        let key = PeerKey::load_or_create(state_dir)?;
        let sessions = Arc::new(Sessions::load(state_dir, key)?);
        let (mode, group) = (
            server::socket_mode(system()),
            system().then_some(config.control.group.as_str()),
        );
        let descriptor_socket = config.descriptor_socket();
        let bind =
            |path: &Path| Ok::<_, io::Error>((accept::bind_unix(path, mode, group)?, SocketName::of(path)?));
        let control = match control {
            Some(listener) => Control::handed_over(listener)?,
            None => {
                let path = config.control_socket();
                let (listener, name) = bind(&path)?;
                let (path, own) = (Some(path), Some(name));
                Control { listener, path, own }
            }
        };
        let descriptors = bind(&descriptor_socket)?;
        let peers = accept::bind(&config.peer.listen)?;
        let metrics = bind_metrics(config.metrics.listen)?;
        let listening: Vec<SocketAddr> = peers
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;

        let bus = Bus::open(&state_dir.join("events"))
            .with_context(|| state_dir.join("events").display().to_string())?;
        sessions.tells(bus.clone());
        store.tells(bus.clone());
        let link = Link::load(&config.state_dir)?;
        let limits = Limits::load(&config.state_dir)?;
        let sent = Meter::default();
        let announcer = Announcer::new(store.clone());
        let transfers = Transfers::load(
            Arc::clone(&sessions),
            store.clone(),
            announcer.clone(),
            (config.transfer.max_active.get(), limits.clone()),
            lifecycle.clone(),
        )
        .await?;
        transfers.tells(bus.clone());
        let config = Live::new(config);
        let reloader = Reloader {
            reloading,
            live: config.clone(),
            store: store.clone(),
            transfers: transfers.clone(),
            limits: limits.clone(),
            bus: bus.clone(),
        };
        reloader.apply(&config.now());
        let authority = Arc::new(DirectoryGrants::new(Arc::clone(&sessions), link.clone()));
        let port = PeerPort {
            sessions: Arc::clone(&sessions),
            link: link.clone(),
            copies: Copies {
                authority: authority.clone(),
                sessions: Arc::clone(&sessions),
                transfers: transfers.clone(),
                config: config.clone(),
            },
            access: Access::new(authority, store.clone()).within(limits),
            sent: sent.clone(),
        };
        let pinger = Pinger {
            config: config.clone(),
            listening: listening.clone(),
            sessions: Arc::clone(&sessions),
            store: store.clone(),
            announcer: announcer.clone(),
            link: link.clone(),
            transfers: transfers.clone(),
            bus: bus.clone(),
        };
        let publisher = Publisher::new(
            Arc::clone(&sessions),
            store.clone(),
            announcer.clone(),
            transfers.clone(),
        );
        publisher.tells(bus.clone());
        let rpc = ControlRpc {
            config,
            publisher,
            bus,
            lifecycle: lifecycle.clone(),
            sessions,
            link,
            store,
            announcer,
            transfers,
            slots: Arc::new(Slots::default()),
            descriptor_socket,
            listening,
            sent,
            started_at: Timestamp::now(),
        };
        Ok(Self {
            control,
            descriptors,
            peers,
            metrics,
            rpc,
            port,
            pinger,
            lifecycle,
            reloader,
            state_lock,
        })
    }

    /// Serves every socket and begins to ping; tells systemd when all of it runs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn spawn(self) -> anyhow::Result<Running> {
        let Self {
            control,
            descriptors,
            peers,
            metrics,
            rpc,
            port,
            pinger,
            lifecycle,
            reloader,
            state_lock,
        } = self;
        let (store, bus) = (rpc.store.clone(), rpc.bus.clone());
        let watchdog = alive::watchdog(&rpc, control.path);
        let usage = rpc.store.usage().await?;
        tracing::info!(
            "p2pd {} runs as peer {}",
            env!("CARGO_PKG_VERSION"),
            rpc.sessions.peer_id()
        );
        for address in &rpc.listening {
            tracing::info!("peers reach it at {address}");
        }
        tracing::info!("store {}: {}", usage.path.display(), health::room(&usage));
        port.spawn(peers, &lifecycle);
        background(&rpc, &lifecycle);
        if let Some(listener) = metrics {
            tell_figures(listener, rpc.clone(), &lifecycle)?;
        }
        tell_status(rpc.clone(), &lifecycle);
        let slots = Arc::clone(&rpc.slots);
        let (listener, name) = descriptors;
        let serving = descriptors::serve(listener, slots, lifecycle.clone());
        lifecycle.spawn("descriptor socket", under(Some(name), serving));
        let serving = server::serve(control.listener, rpc, lifecycle.soft().clone());
        lifecycle.spawn("control socket", under(control.own, serving));
        lifecycle.spawn("pings", pings::pings_task(pinger, lifecycle.soft().clone()));
        notify::ready();
        Ok(Running {
            reloader,
            store,
            bus,
            watching: watchdog.start()?,
            _state_lock: state_lock,
        })
    }
}

impl Running {
    /// Closes what is still open, after the life cycle has ended.
    pub async fn close(self) {
        self.bus.flush().await;
        // What is closed next would not answer.
        drop(self.watching);
        self.store.close().await;
    }
}

/// What works without being asked: transfers of the last run go on, what is damaged is fetched anew, and all is hashed
/// again from time to time.
fn background(rpc: &ControlRpc, lifecycle: &Lifecycle) {
    let (bus, soft) = (rpc.bus.clone(), lifecycle.soft().clone());
    lifecycle.spawn("events", async move {
        bus.run(soft).await;
        Ok(())
    });
    rpc.transfers.restore();
    let healing = heal_task(rpc.transfers.clone(), rpc.store.clone(), lifecycle.soft().clone());
    lifecycle.spawn("healing", healing);
    let publisher = rpc.publisher.clone();
    let publishing = publisher.settle_pending(lifecycle.soft().clone());
    lifecycle.spawn("publishing", publishing);
    let scrubbing = scrub_task(rpc.store.clone(), rpc.config.clone(), lifecycle.soft().clone());
    lifecycle.spawn("scrub", scrubbing);
    let health = health::watch_task(rpc.clone(), lifecycle.soft().clone());
    lifecycle.spawn("health", health);
    let login = MachineLogin {
        config: rpc.config.clone(),
        sessions: Arc::clone(&rpc.sessions),
        store: rpc.store.clone(),
        listening: rpc.listening.clone(),
    };
    lifecycle.spawn("login", login.task(lifecycle.soft().clone()));
    let floods = logging::tell_floods(lifecycle.soft().clone());
    lifecycle.spawn("log", async move {
        floods.await;
        Ok(())
    });
}

/// Hashes again as fast as the configuration says, and begins anew when that changes: which content is next is in the
/// store.
async fn scrub_task(store: Store, config: Live, soft: CancellationToken) -> anyhow::Result<()> {
    let mut changes = config.subscribe();
    let bounds = |config: &Config| (config.store.scrub_rate, config.store.scrub_every);
    loop {
        let now = bounds(&changes.borrow_and_update());
        let (rate, every) = now;
        let changed = changes.wait_for(|config| bounds(config) != now);
        let scrubbing = async {
            match rate.0 {
                Some(ByteCount(rate)) => store.scrub(rate, every.0, soft.clone()).await,
                None => soft.cancelled().await,
            }
        };
        tokio::select! {
            () = scrubbing => return Ok(()),
            changed = changed => if changed.is_err() { return Ok(()) },
        }
    }
}

fn tell_figures(listener: TcpListener, rpc: ControlRpc, lifecycle: &Lifecycle) -> io::Result<()> {
    tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
    let render = move || {
        let rpc = rpc.clone();
        async move { metrics::page(&rpc).await }
    };
    let serving = serve_metrics(listener, render, lifecycle.clone());
    lifecycle.spawn("metrics", serving);
    Ok(())
}

fn tell_status(rpc: ControlRpc, lifecycle: &Lifecycle) {
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("status", async move {
        notify::keep_status(soft, || ready(Some(metrics::status_line(&rpc)))).await;
        Ok(())
    });
}

/// Serves a socket that has this name, if it is ours.
async fn under<T>(name: Option<SocketName>, serving: impl Future<Output = T>) -> T {
    let _until_then = name;
    serving.await
}

/// The mode of the folder with the sockets: whoever may open them must get there.
pub(crate) fn runtime_mode() -> u32 {
    if system() { 0o755 } else { 0o700 }
}

/// This daemon is the machine's: it was started by systemd's system manager or by root.
fn system() -> bool {
    paths::default_paths("p2pd").system
}
