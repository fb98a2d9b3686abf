//! `transfers`: what runs, waits, or ended lately; with `--watch` each change of it, until it is stopped.

use std::time::Duration;

use jiff::Timestamp;
use p2p_proto::{
    ByteCount, Failure, FailureKind,
    v1::{Transfer, TransferPeer, TransfersRequest, TransfersResponse},
};
use tokio::time::MissedTickBehavior;

use super::steer::percent;
use crate::{
    cli::TransfersArgs,
    context::Context,
    exit::Stop,
    output::{
        json, one_line,
        progress::rate,
        screen::Screen,
        state_paint,
        table::{self, Column, View},
        time::{self, span},
    },
};

const COLUMNS: [Column; 9] = [
    Column::number("ID"),
    Column::text("DIRECTION").spare(4),
    Column::name("NAME"),
    Column::number("DONE"),
    Column::number("RATE").spare(1),
    Column::number("LEFT").spare(2),
    Column::name("PEERS").spare(3),
    Column::text("STATE").painted(state_paint),
    Column::sentence("WHY"),
];
const NONE: &str = "No transfer runs, waits, or ended lately.";
/// A shorter silence is none, in seconds.
const SILENT: i64 = 5;
/// How often a table on a terminal is drawn again when nothing changes: a silence gets longer.
const AGAIN: Duration = Duration::from_secs(1);

/// Shows the transfers, once or with each change.
pub(crate) async fn run(ctx: &Context, args: &TransfersArgs) -> Result<(), Stop> {
    if !args.watch {
        return ctx.guard(once(ctx)).await;
    }
    tokio::select! {
        biased;
        why = ctx.stopped() => match why.kind {
            // That is how a watch ends; there is nothing to tell.
            FailureKind::Interrupted => Err(Stop::Told(why.kind)),
            _ => Err(why.into()),
        },
        result = watch(ctx) => result,
    }
}

async fn once(ctx: &Context) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.transfers(TransfersRequest {}).await;
    let now = answer.map_err(|status| daemon.failure(status))?.into_inner();
    show(ctx, now)
}

fn show(ctx: &Context, now: TransfersResponse) -> Result<(), Stop> {
    if ctx.out.is_json() {
        return ctx.out.json("transfers", &json::Transfers::from(now));
    }
    if now.transfers.is_empty() {
        ctx.out.note(NONE);
        return Ok(());
    }
    let clock = Timestamp::now();
    ctx.out.table(
        &COLUMNS,
        now.transfers.iter().map(|transfer| row(transfer, clock)),
    )
}

async fn watch(ctx: &Context) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.watch_transfers(TransfersRequest {}).await;
    let mut changes = answer.map_err(|status| daemon.failure(status))?.into_inner();
    let mut screen = Screen::new(&ctx.out);
    let mut again = tokio::time::interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<TransfersResponse> = None;
    loop {
        let change = tokio::select! {
            change = changes.message() => change.map_err(|status| daemon.failure(status))?,
            _ = again.tick(), if screen.is_some() && last.is_some() => last.take(),
        };
        let Some(now) = change else {
            let message = "p2pd ended the watch";
            return Err(Failure::new(FailureKind::Unreachable, message).into());
        };
        match &mut screen {
            Some(screen) if now.transfers.is_empty() => screen.draw(&[NONE.to_owned()])?,
            Some(screen) => screen.draw(&lines(&now, Timestamp::now(), ctx.out.view()))?,
            None => {
                if last.is_some() && !ctx.out.is_json() {
                    ctx.out.line("")?;
                }
                show(ctx, now.clone())?;
            }
        }
        last = Some(now);
    }
}

fn lines(response: &TransfersResponse, now: Timestamp, view: View) -> Vec<String> {
    table::lines(
        &COLUMNS,
        response.transfers.iter().map(|transfer| row(transfer, now)),
        view,
    )
}

fn row(transfer: &Transfer, now: Timestamp) -> [String; 9] {
    let moves = transfer.rate > 0;
    let peers: Vec<String> = transfer.peers.iter().map(|one| peer(one, now)).collect();
    let failure = transfer.failure.as_ref().map(|failure| &failure.message);
    let why = match (transfer.reason.as_str(), transfer.limit) {
        ("", Some(limit)) if failure.is_none() => format!("limited to {}", rate(limit)),
        ("", _) => failure.cloned().unwrap_or_default(),
        (reason, _) => reason.to_owned(),
    };
    let state = match transfer.priority.as_str() {
        "" | "normal" => transfer.state.clone(),
        priority => format!("{}, {priority}", transfer.state),
    };
    [
        transfer.id.clone(),
        transfer.direction.clone(),
        transfer.name.clone(),
        percent(transfer).map_or_else(
            || ByteCount(transfer.done_bytes).to_string(),
            |percent| format!("{percent} %"),
        ),
        if moves { rate(transfer.rate) } else { String::new() },
        transfer.eta_s.map_or_else(String::new, span),
        peers.join(", "),
        state,
        why,
    ]
}

/// `gpu1`, or `gpu1 (silent 31 s)`.
fn peer(peer: &TransferPeer, now: Timestamp) -> String {
    let name = one_line(&peer.peer);
    let since = time::parse(&peer.silent_since);
    match since.filter(|since| now.as_second() - since.as_second() >= SILENT) {
        Some(since) => format!("{name} (silent {})", time::age(since, now)),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use p2p_proto::v1;

    use super::*;

    fn sample() -> Transfer {
        Transfer {
            id: "42".into(),
            direction: "download".into(),
            owner: "ana".into(),
            name: "scan.tar".into(),
            size: Some(100 << 20),
            done_bytes: 61 << 20,
            rate: 13 << 20,
            eta_s: Some(3),
            state: "transferring".into(),
            peers: ["ws1", "gpu1"]
                .map(|peer| TransferPeer {
                    peer: peer.into(),
                    bytes: 1,
                    silent_since: String::new(),
                })
                .to_vec(),
            ..Transfer::default()
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T12:00:31Z".parse().unwrap()
    }

    fn table(transfers: Vec<Transfer>) -> Vec<String> {
        lines(&TransfersResponse { transfers }, now(), View::default())
    }

    #[test]
    fn a_row_tells_how_far_and_from_whom() {
        assert_eq!(
            table(vec![sample()]),
            [
                "ID  DIRECTION  NAME      DONE  RATE        LEFT  PEERS      STATE         WHY",
                "42  download   scan.tar  61 %  13.0 MiB/s   3 s  ws1, gpu1  transferring  -",
            ]
        );
    }

    #[test]
    fn a_row_tells_who_is_silent_and_why_nothing_moves() {
        let mut waiting = Transfer {
            rate: 0,
            eta_s: None,
            state: "waiting".into(),
            reason: "gpu1 is silent".into(),
            ..sample()
        };
        waiting.peers[1].silent_since = "2026-11-21T12:00:00Z".into();
        // Less than it takes to lose a piece: not worth a word.
        waiting.peers[0].silent_since = "2026-11-21T12:00:28Z".into();
        assert_eq!(
            table(vec![waiting])[1],
            "42  download   scan.tar  61 %     -     -  ws1, gpu1 (silent 31 s)  waiting  gpu1 is silent"
        );
    }

    #[test]
    fn a_row_tells_what_was_asked_for() {
        let asked = Transfer {
            priority: "high".into(),
            limit: Some(1 << 20),
            ..sample()
        };
        let [.., state, why] = row(&asked, now());
        assert_eq!(
            (state.as_str(), why.as_str()),
            ("transferring, high", "limited to 1.0 MiB/s")
        );
    }

    #[test]
    fn on_eighty_columns_it_fits_and_the_reason_is_below() {
        let name = "a-rather-long-name-of-a-file-that-nobody-would-type.tar.zst";
        let waiting = Transfer {
            name: name.into(),
            state: "waiting".into(),
            reason: "no holder is online (last gpu2, 18:04)".into(),
            ..sample()
        };
        let narrow = View {
            width: Some(80),
            ..View::default()
        };
        let transfers = vec![waiting, sample()];
        let lines = lines(&TransfersResponse { transfers }, now(), narrow);
        for line in lines.iter().flat_map(|row| row.lines()) {
            assert!(crate::output::width::width(line) <= 80, "{line}");
        }
        assert!(
            lines[1].contains("61 %") && lines[1].contains("13.0 MiB/s"),
            "{lines:?}"
        );
        assert!(
            lines[1].ends_with("\n    no holder is online (last gpu2, 18:04)"),
            "{lines:?}"
        );
        assert!(!lines[2].contains('\n') && !lines[0].contains("WHY"), "{lines:?}");
    }

    #[test]
    fn a_failed_one_says_why_and_a_stream_how_much() {
        let failed = Transfer {
            state: "failed".into(),
            failure: Some(v1::Failure {
                message: "the disk is full".into(),
                ..v1::Failure::default()
            }),
            ..sample()
        };
        assert_eq!(row(&failed, now())[8], "the disk is full");
        let stream = Transfer {
            size: None,
            ..sample()
        };
        assert_eq!(row(&stream, now())[3], "61.0 MiB");
    }
}
