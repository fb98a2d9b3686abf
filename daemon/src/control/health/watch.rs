//! Tells the log what is not well: an administrator who reads only warnings sees what `p2pctl status` would show him. What
//! mends itself at once is not told, nor what the log hears where it happens.

use std::{collections::BTreeSet, time::Duration};

use p2p_proto::v1::HealthLine;
use tokio_util::sync::CancellationToken;

use super::Code;
use crate::control::rpc::ControlRpc;

/// How often it looks. What is told has lasted from one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Who may see every line.
const ROOT: u32 = 0;

/// Others' troubles that pass, and what is told where it is found.
const NOT_TOLD: [Code; 6] = [
    Code::NoGroup,
    Code::SessionEnded,
    Code::PeerUnreachable,
    Code::ContentDamaged,
    Code::StoreFault,
    Code::TransferStalled,
];

/// Looks until `stop`.
///
/// # Errors
/// None; the signature is that of a service task.
pub async fn watch_task(rpc: ControlRpc, stop: CancellationToken) -> anyhow::Result<()> {
    let watching = async {
        let mut known = Known::default();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // A store that does not answer is told of by whoever needs it.
            let Ok(usage) = rpc.store.usage().await else {
                continue;
            };
            let session = rpc.sessions.current();
            if let Ok(lines) = super::lines(&rpc, ROOT, session.as_deref(), &usage).await {
                tell(&known.changed(lines));
            }
        }
    };
    stop.run_until_cancelled(watching).await;
    Ok(())
}

fn tell(changed: &Changed) {
    for HealthLine { message, fix, .. } in &changed.new {
        tracing::warn!("{message}: {fix}");
    }
    for code in &changed.over {
        tracing::info!("{code} is over");
    }
}

/// The codes of what is not well.
#[derive(Default)]
struct Known {
    /// At the last look.
    seen: BTreeSet<String>,
    told: BTreeSet<String>,
}

/// What the log should hear.
#[derive(Debug, Default, PartialEq)]
struct Changed {
    new: Vec<HealthLine>,
    over: Vec<String>,
}

impl Known {
    /// After another look.
    fn changed(&mut self, mut lines: Vec<HealthLine>) -> Changed {
        let quiet = NOT_TOLD.map(|code| code.words().0);
        lines.retain(|line| line.level != "info" && !quiet.contains(&line.code.as_str()));
        let now: BTreeSet<String> = lines.iter().map(|line| line.code.clone()).collect();
        let over: Vec<String> = self.told.difference(&now).cloned().collect();
        lines.retain(|line| self.seen.contains(&line.code) && !self.told.contains(&line.code));
        self.told.retain(|code| now.contains(code));
        self.told.extend(lines.iter().map(|line| line.code.clone()));
        self.seen = now;
        Changed { new: lines, over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_and_its_end_too() {
        let line = |code: Code| code.line("full".to_owned(), "rm");
        let look = |known: &mut Known, codes: &[Code]| {
            let changed = known.changed(codes.iter().map(|code| line(*code)).collect());
            let new: Vec<String> = changed.new.into_iter().map(|line| line.code).collect();
            (new, changed.over)
        };
        let none = || (Vec::new(), Vec::new());
        let mut known = Known::default();
        assert_eq!(look(&mut known, &[Code::DirectoryAway]), none());
        // It was away for a moment only.
        assert_eq!(look(&mut known, &[Code::DiskFull]), none());
        let all = [Code::DiskFull, Code::TransferStalled, Code::LimitsInForce];
        assert_eq!(look(&mut known, &all), (vec!["disk_full".to_owned()], Vec::new()));
        assert_eq!(look(&mut known, &all), none());
        assert_eq!(look(&mut known, &[]), (Vec::new(), vec!["disk_full".to_owned()]));
        assert_eq!(look(&mut known, &[]), none());
    }
}
