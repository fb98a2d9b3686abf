//! Calls of a daemon's control service by a program: what `p2pctl` says, without it.

use std::time::{Duration, Instant};

use p2p_proto::{
    Failure,
    v1::{control_service_client::ControlServiceClient, *},
};
use tokio::runtime::Runtime;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint},
};

use crate::Peer;

/// A client of one daemon.
pub struct Calls {
    runtime: Runtime,
    client: ControlServiceClient<Channel>,
}

type Answer<T> = Result<T, Failure>;

/// What a rate is set to: bytes a second, or none for no limit.
#[must_use]
pub const fn rate(bytes_per_second: Option<u64>) -> Option<RateLimit> {
    Some(RateLimit { bytes_per_second })
}

impl Calls {
    /// Of this daemon.
    ///
    /// # Panics
    /// When it cannot be reached.
    #[must_use]
    pub fn of(peer: &Peer) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let endpoint = format!("unix://{}", peer.socket().display());
        let endpoint = Endpoint::from_shared(endpoint).expect("an address");
        let channel = runtime.block_on(endpoint.connect()).expect("a daemon");
        Self {
            runtime,
            client: ControlServiceClient::new(channel),
        }
    }

    fn answer<T>(runtime: &Runtime, answer: impl Future<Output = Result<Response<T>, Status>>) -> Answer<T> {
        let answer = runtime.block_on(answer);
        answer.map(Response::into_inner).map_err(Failure::from)
    }

    /// Shows the limits of all, or of one transfer, and sets those that are given.
    ///
    /// # Errors
    /// As it is answered.
    pub fn limit(
        &mut self,
        upload: Option<RateLimit>,
        download: Option<RateLimit>,
        transfer_id: &str,
    ) -> Answer<LimitResponse> {
        let request = LimitRequest {
            upload,
            download,
            transfer_id: transfer_id.into(),
        };
        Self::answer(&self.runtime, self.client.limit(Request::new(request)))
    }

    /// Sets a priority.
    ///
    /// # Errors
    /// As it is answered.
    pub fn set_priority(&mut self, id: &str, priority: &str) -> Answer<Transfer> {
        let request = SetPriorityRequest {
            id: id.into(),
            priority: priority.into(),
        };
        Self::answer(&self.runtime, self.client.set_priority(request))
    }

    /// Pins, or unpins.
    ///
    /// # Errors
    /// As it is answered.
    pub fn pin(&mut self, reference: &str, pinned: bool) -> Answer<HeldFile> {
        let request = PinRequest {
            r#ref: reference.into(),
            pinned,
        };
        Self::answer(&self.runtime, self.client.pin(request))
    }

    /// Changes the password.
    ///
    /// # Errors
    /// As it is answered.
    pub fn passwd(&mut self, old: &str, new: &str) -> Answer<PasswdResponse> {
        let request = PasswdRequest {
            old_password: old.into(),
            new_password: new.into(),
        };
        Self::answer(&self.runtime, self.client.passwd(request))
    }

    /// Every transfer.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn transfers(&mut self) -> Vec<Transfer> {
        let answer = Self::answer(&self.runtime, self.client.transfers(TransfersRequest {}));
        answer.expect("transfers").transfers
    }

    /// The newest transfer of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn transfer(&mut self, name: &str) -> Transfer {
        let mut all = self.transfers().into_iter().rev();
        let found = all.find(|transfer| transfer.name == name);
        found.unwrap_or_else(|| panic!("no transfer of {name}"))
    }

    /// The health lines of this code.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn health(&mut self, code: &str) -> Vec<HealthLine> {
        let answer = Self::answer(&self.runtime, self.client.status(StatusRequest {}));
        let mut lines = answer.expect("a status").health;
        lines.retain(|line| line.code == code);
        lines
    }
}

/// A number that was looked at, and between which moments.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    before: Instant,
    after: Instant,
    bytes: u64,
}

impl Sample {
    /// Looks.
    pub fn take(look: impl FnOnce() -> u64) -> Self {
        let before = Instant::now();
        let bytes = look();
        Self {
            before,
            after: Instant::now(),
            bytes,
        }
    }

    /// What was seen.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// So much after that one, at least.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        self.before.saturating_duration_since(earlier.after)
    }

    /// What came since that one is what this rate brings, within five percent; how long a look took is not known better
    /// than this. `grain` is the least that can be seen to come.
    ///
    /// # Errors
    /// What came, and what should have.
    pub fn holds(&self, earlier: &Self, rate: u64, grain: u64) -> Result<(), String> {
        let came = (self.bytes - earlier.bytes) as f64;
        let span = |time: Duration| rate as f64 * time.as_secs_f64();
        let least = span(self.since(earlier)) * 0.95 - grain as f64;
        let most = span(self.after.duration_since(earlier.before)) * 1.05 + grain as f64;
        match (least..=most).contains(&came) {
            true => Ok(()),
            false => Err(format!("{came} bytes came, not {least} to {most}")),
        }
    }
}

/// Looks again and again for so long, from now on.
pub fn samples(time: Duration, mut look: impl FnMut() -> u64) -> Vec<Sample> {
    let mut all = vec![Sample::take(&mut look)];
    crate::wait::often(time, || {
        all.push(Sample::take(&mut look));
        None::<()>
    });
    all
}

/// In every five seconds of these samples came what this rate brings, and at least so many such spans were seen.
///
/// # Panics
/// When not.
pub fn hold(samples: &[Sample], rate: u64, grain: u64, spans: usize) {
    const SPAN: Duration = Duration::from_secs(5);
    let mut seen = 0;
    for (place, first) in samples.iter().enumerate() {
        let last = samples[place..].iter().find(|last| last.since(first) >= SPAN);
        if let Some(last) = last {
            seen += 1;
            let wrong = last.holds(first, rate, grain).err();
            assert!(wrong.is_none(), "span {seen}: {wrong:?}");
        }
    }
    assert!(seen >= spans, "only {seen} spans of five seconds");
}
