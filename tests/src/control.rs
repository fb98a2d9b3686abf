//! The control socket of a daemon, as another program than `p2pctl` uses it: with a client made of the contracts.

use std::{future::Future, path::Path};

use p2p_proto::v1::{Event, WatchRequest, control_service_client::ControlServiceClient};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::{Peer, wait};

/// One connection.
pub struct Control {
    runtime: Runtime,
    channel: Channel,
}

impl Control {
    /// Connects to this daemon.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn of(peer: &Peer) -> Self {
        Self::at(&peer.socket())
    }

    /// The same at this socket.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).expect("an address");
        let channel = runtime.block_on(endpoint.connect()).expect("a daemon");
        Self { runtime, channel }
    }

    /// What every client is made of.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The client of the daemon's verbs.
    #[must_use]
    pub fn client(&self) -> ControlServiceClient<Channel> {
        ControlServiceClient::new(self.channel())
    }

    /// Runs it to its end, which must come soon.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait<F: Future>(&self, work: F) -> F::Output {
        self.runtime
            .block_on(async { timeout(wait::SOON, work).await.expect("an answer within reason") })
    }

    /// Watches what follows the event with this id; from now on when it is empty.
    ///
    /// # Panics
    /// When the daemon does not let it.
    #[must_use]
    pub fn watch(&self, after: &str) -> Watching<'_> {
        let request = WatchRequest {
            after: after.to_owned(),
        };
        let stream = self.wait(self.client().watch(request)).expect("a stream");
        Watching {
            control: self,
            stream: stream.into_inner(),
        }
    }
}

/// Somebody who watches what happens.
pub struct Watching<'a> {
    control: &'a Control,
    stream: Streaming<Event>,
}

impl Watching<'_> {
    /// The next event; none when the daemon ends the stream.
    ///
    /// # Errors
    /// When it broke off.
    pub fn hears(&mut self) -> Result<Option<Event>, Status> {
        self.control.wait(self.stream.message())
    }

    /// All events up to the first of this type.
    ///
    /// # Panics
    /// When it does not come.
    pub fn until(&mut self, last: &str) -> Vec<Event> {
        self.until_all(&[last])
    }

    /// All events up to that by which each of these types was there.
    ///
    /// # Panics
    /// When one does not come.
    pub fn until_all(&mut self, types: &[&str]) -> Vec<Event> {
        let mut missing = types.to_vec();
        let mut events = Vec::new();
        while !missing.is_empty() {
            match self.hears() {
                Ok(Some(event)) => {
                    missing.retain(|awaited| *awaited != event.r#type);
                    events.push(event);
                }
                other => panic!("{other:?}, and no {missing:?} after {events:?}"),
            }
        }
        events
    }
}

/// The types of events.
#[must_use]
pub fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.r#type.as_str()).collect()
}
