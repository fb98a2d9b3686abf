//! `Verify`: hashes what is stored again. What is damaged is quarantined by the store, and fetched anew here.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use p2p_proto::{
    ContentHash, Failure, FailureKind,
    rest::publications::Publication,
    v1::{VerifiedFile, VerifyDone, VerifyEvent, VerifyProgress, VerifyRequest, verify_event::Event},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{ControlRpc, EVENTS, Events, info};
use crate::{
    control::convert,
    store::{HeldFile, Verdict},
    transfer::{
        Order,
        progress::{Intent, Progress, State},
    },
};

/// At most so often is progress told.
const PROGRESS: Duration = Duration::from_millis(200);

/// How long the directory may take to hear of damage before the person is told.
const ANNOUNCE: Duration = Duration::from_secs(5);

type ToClient = mpsc::Sender<Result<VerifyEvent, Status>>;

/// Verifies one file, or all.
pub async fn verify(rpc: &ControlRpc, request: &VerifyRequest) -> Result<Events<VerifyEvent>, Failure> {
    let mut held = rpc.store.holds().await?;
    if !request.r#ref.is_empty() {
        let meant = info::find(rpc, &request.r#ref).await?;
        held.retain(|file| file.publication.hash == meant.hash);
        if held.is_empty() {
            let message = format!("{} is not stored on this peer", meant.name);
            return Err(Failure::new(FailureKind::NotFound, message).hint("p2pctl list"));
        }
    }
    let (events, stream) = mpsc::channel(EVENTS);
    let rpc = rpc.clone();
    tokio::spawn(async move {
        let verified = tokio::select! {
            verified = all(&rpc, held, &events) => verified,
            () = events.closed() => return,
        };
        let last = verified.map(Event::Done).map(event).map_err(Into::into);
        let _ = events.send(last).await;
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

const fn event(event: Event) -> VerifyEvent {
    VerifyEvent { event: Some(event) }
}

async fn all(rpc: &ControlRpc, held: Vec<HeldFile>, events: &ToClient) -> Result<VerifyDone, Failure> {
    // One content may be held under several publications.
    let mut contents = BTreeMap::<ContentHash, Vec<Publication>>::new();
    for file in held {
        contents
            .entry(file.publication.hash)
            .or_default()
            .push(file.publication);
    }
    let total: u64 = contents.values().map(|files| files[0].size).sum();
    let mut done = VerifyDone::default();
    for (hash, files) in contents {
        let (state, reason) = one(rpc, hash, &files, (done.bytes, total), events).await?;
        done.files += files.len() as u64;
        done.bytes += files[0].size;
        match state {
            "healed" => done.healed += files.len() as u64,
            "damaged" => done.damaged += files.len() as u64,
            _ => {}
        }
        for file in &files {
            let told = VerifiedFile {
                publication: Some(convert::publication(file)),
                state: state.into(),
                reason: reason.clone(),
            };
            let _ = events.send(Ok(event(Event::File(told)))).await;
        }
    }
    Ok(done)
}

async fn one(
    rpc: &ControlRpc,
    hash: ContentHash,
    files: &[Publication],
    (before, total): (u64, u64),
    events: &ToClient,
) -> Result<(&'static str, String), Failure> {
    let read = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&read);
    let sink = Arc::new(move |bytes| count.store(bytes, Ordering::Relaxed));
    let verifying = rpc.store.verify(hash, None, sink);
    tokio::pin!(verifying);
    let mut tick = tokio::time::interval(PROGRESS);
    let verdict = loop {
        tokio::select! {
            verdict = &mut verifying => break verdict?,
            _ = tick.tick() => {
                let done_bytes = before + read.load(Ordering::Relaxed);
                let progress = VerifyProgress { done_bytes, total_bytes: total };
                // A full queue drops this one: a later one says more.
                let _ = events.try_send(Ok(event(Event::Progress(progress))));
            }
        }
    };
    let Verdict::Damaged { reason } = verdict else {
        return Ok(("good", String::new()));
    };
    tell_the_directory(rpc).await;
    let mut told = String::new();
    // Each may have holders of its own.
    for file in files {
        if !rpc.transfers.holds(file.id).await {
            // Removed meanwhile.
            continue;
        }
        match heal(rpc, file).await {
            Ok(from) => return Ok(("healed", format!("{reason}; healed from {from}"))),
            Err(failure) => told = failure.to_string(),
        }
    }
    Ok(("damaged", format!("{reason}; {told}")))
}

/// Nobody shall be sent here for what is not whole; when it is away a ping says so later.
async fn tell_the_directory(rpc: &ControlRpc) {
    if let Some(session) = rpc.sessions.current() {
        let told = tokio::time::timeout(ANNOUNCE, rpc.announcer.announce(&session)).await;
        if !matches!(told, Ok(Ok(()))) {
            tracing::info!("the directory was not told of the damage; a ping will");
        }
    }
}

/// Fetches what is damaged from whoever has it; their names. The watcher for damage may have begun already.
async fn heal(rpc: &ControlRpc, file: &Publication) -> Result<String, Failure> {
    let order = Order::copy(file.clone(), None);
    let transfer = Arc::clone(&rpc.transfers.start(order).await?.transfer);
    if !rpc.transfers.holds(file.id).await {
        rpc.transfers.want(transfer.id, Intent::Cancel)?;
    }
    let mut progress = transfer.subscribe();
    let waits = |now: &Progress| now.state.is_final() || matches!(now.state, State::Waiting | State::Paused);
    let now = progress.wait_for(waits).await.map(|now| now.clone());
    match now {
        Ok(now) if !now.state.is_final() => Err(Failure::new(FailureKind::NoHolderOnline, now.reason)),
        _ => {
            let outcome = transfer.ended().await?;
            let names: Vec<String> = outcome.sources.iter().map(|(name, _)| name.to_string()).collect();
            Ok(match names.is_empty() {
                true => "what was left of it".to_owned(),
                false => names.join(", "),
            })
        }
    }
}
