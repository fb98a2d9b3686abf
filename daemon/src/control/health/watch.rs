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
        tell(&from_before(&rpc, look(&rpc).await));
        let mut known = Known::default();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // A store that does not answer is told of by whoever needs it.
            if let Some(lines) = look(&rpc).await {
                tell(&known.changed(lines));
            }
        }
    };
    stop.run_until_cancelled(watching).await;
    Ok(())
}

async fn look(rpc: &ControlRpc) -> Option<Vec<HealthLine>> {
    let usage = rpc.store.usage().await.ok()?;
    let session = rpc.sessions.current();
    super::lines(rpc, ROOT, session.as_deref(), &usage).await.ok()
}

/// What was found, and told, before this start. A machine that logs itself in sees to its session.
fn from_before(rpc: &ControlRpc, lines: Option<Vec<HealthLine>>) -> Changed {
    let logs_in = rpc.config.now().login.user.is_some();
    let is = |line: &HealthLine, code: Code| line.code == code.words().0;
    let mut new = lines.unwrap_or_default();
    new.retain(|line| is(line, Code::ContentDamaged) || (is(line, Code::SessionEnded) && !logs_in));
    Changed {
        new,
        over: Vec::new(),
    }
}

fn tell(changed: &Changed) {
    for HealthLine { message, fix, .. } in &changed.new {
        tracing::warn!("{message}: {fix}");
    }
    for code in &changed.over {
        tracing::info!("{code} is over");
    }
}

/// What is not well: code, and what to do. Messages have figures that change.
#[derive(Default)]
struct Known {
    /// At the last look.
    seen: BTreeSet<(String, String)>,
    told: BTreeSet<(String, String)>,
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
        let kind = |line: &HealthLine| (line.code.clone(), line.fix.clone());
        let now: BTreeSet<_> = lines.iter().map(kind).collect();
        let codes: BTreeSet<&String> = now.iter().map(|(code, _)| code).collect();
        let mut over: Vec<String> = self.told.iter().map(|(code, _)| code.clone()).collect();
        over.dedup();
        over.retain(|code| !codes.contains(code));
        lines.retain(|line| self.seen.contains(&kind(line)) && !self.told.contains(&kind(line)));
        self.told.retain(|kind| now.contains(kind));
        self.told.extend(lines.iter().map(kind));
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
        // Two of one code, each with a way out of its own.
        let port = |fix: &str| Code::PortUnreachable.line("a port".to_owned(), fix);
        let told = |changed: Changed| (changed.new.len(), changed.over.len());
        for (fixes, expected) in [
            (&["7401"][..], (0, 0)),
            (&["7401", "7402"], (1, 0)),
            (&["7401", "7402"], (1, 0)),
            (&["7402"], (0, 0)),
            (&[], (0, 1)),
        ] {
            let lines = fixes.iter().map(|fix| port(fix)).collect();
            assert_eq!(told(known.changed(lines)), expected, "{fixes:?}");
        }
    }
}
