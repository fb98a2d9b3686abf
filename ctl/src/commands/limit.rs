//! `limit`: how fast bytes may go, for all transfers together or for one; shows it, and sets what is given.

use p2p_proto::{
    ByteCount,
    v1::{LimitRequest, LimitResponse, RateLimit},
};

use crate::{
    cli::{LimitArgs, Rate},
    context::Context,
    exit::Stop,
    output::{json, one_line},
};

/// Sets what is given, and shows what holds then.
pub(crate) async fn run(ctx: &Context, args: LimitArgs) -> Result<(), Stop> {
    let sets = args.up.is_some() || args.down.is_some();
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.limit(request(args)).await;
    let limits = answer.map_err(|status| daemon.failure(status))?.into_inner();
    if ctx.out.is_json() {
        return ctx.out.json("limit", &json::Limit::from(limits));
    }
    match sets {
        true => ctx.out.done(line(&limits)),
        false => ctx.out.line(line(&limits)),
    }
}

fn request(args: LimitArgs) -> LimitRequest {
    let wire = |rate: Rate| RateLimit {
        bytes_per_second: match rate {
            Rate::Unlimited => None,
            Rate::Bytes(bytes) => Some(bytes),
        },
    };
    LimitRequest {
        upload: args.up.map(wire),
        download: args.down.map(wire),
        transfer_id: args.id.unwrap_or_default(),
    }
}

/// `All transfers: up 20.0 MiB/s, down unlimited`.
fn line(limits: &LimitResponse) -> String {
    let whose = match limits.transfer_id.as_str() {
        "" => "All transfers".to_owned(),
        id => format!("Transfer {}", one_line(id)),
    };
    format!(
        "{whose}: up {}, down {}",
        words(limits.upload),
        words(limits.download)
    )
}

fn words(limit: Option<RateLimit>) -> String {
    match limit.and_then(|limit| limit.bytes_per_second) {
        Some(bytes) => format!("{}/s", ByteCount(bytes)),
        None => "unlimited".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(bytes_per_second: Option<u64>) -> Option<RateLimit> {
        Some(RateLimit { bytes_per_second })
    }

    #[test]
    fn what_is_not_given_stays_as_it_is() {
        let args = |up, down, id: Option<&str>| LimitArgs {
            up,
            down,
            id: id.map(str::to_owned),
        };
        assert_eq!(request(args(None, None, None)), LimitRequest::default());
        let expected = LimitRequest {
            upload: limited(None),
            download: None,
            transfer_id: "42".into(),
        };
        assert_eq!(request(args(Some(Rate::Unlimited), None, Some("42"))), expected);
        let expected = LimitRequest {
            download: limited(Some(7)),
            ..LimitRequest::default()
        };
        assert_eq!(request(args(None, Some(Rate::Bytes(7)), None)), expected);
    }

    #[test]
    fn one_line_says_both() {
        let mut limits = LimitResponse {
            upload: limited(Some(20 << 20)),
            download: limited(None),
            transfer_id: String::new(),
        };
        assert_eq!(line(&limits), "All transfers: up 20.0 MiB/s, down unlimited");
        limits = LimitResponse {
            transfer_id: "42".into(),
            upload: None,
            download: limited(Some(512)),
        };
        assert_eq!(line(&limits), "Transfer 42: up unlimited, down 512 B/s");
    }
}
