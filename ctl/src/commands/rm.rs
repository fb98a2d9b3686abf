//! `rm`: drops this peer's copy, and with `--unpublish` withdraws the owner's version.

use p2p_proto::{
    ByteCount,
    v1::{RemoveRequest, RemoveResponse},
};

use crate::{
    cli::RmArgs,
    context::Context,
    exit::Stop,
    output::{full_name, json},
};

/// Drops, and says what went.
pub(crate) async fn run(ctx: &Context, args: RmArgs) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let request = RemoveRequest {
        r#ref: args.reference,
        unpublish: args.unpublish,
        all_versions: args.all,
        force: args.force,
    };
    let answer = daemon.client.remove(request).await;
    let removed = answer.map_err(|status| daemon.failure(status))?.into_inner();
    if ctx.out.is_json() {
        return ctx.out.json("rm", &json::Rm::from(removed));
    }
    if removed.dropped.is_empty() && removed.unpublished.is_empty() {
        ctx.out.note("This peer holds no copy of it.");
    }
    for line in lines(&removed) {
        ctx.out.line(line)?;
    }
    Ok(())
}

fn lines(removed: &RemoveResponse) -> Vec<String> {
    let freed = ByteCount(removed.freed_bytes);
    let unpublished = removed
        .unpublished
        .iter()
        .map(|one| format!("Unpublished {}", full_name(one)));
    match removed.dropped.as_slice() {
        [] => unpublished.collect(),
        [one] => unpublished
            .chain([format!("Dropped {} here, {freed} freed", full_name(one))])
            .collect(),
        // Several names may share one content: only the sum is known.
        several => unpublished
            .chain(
                several
                    .iter()
                    .map(|one| format!("Dropped {} here", full_name(one))),
            )
            .chain([format!("{freed} freed")])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use p2p_proto::v1::Publication;

    use super::*;

    #[test]
    fn lines_say_what_went() {
        let publication = |version| Publication {
            owner: "ana".into(),
            name: "scan.tar".into(),
            version,
            ..Publication::default()
        };
        let mut removed = RemoveResponse {
            dropped: vec![publication(1)],
            unpublished: vec![],
            freed_bytes: 4_402_341_478,
        };
        assert_eq!(lines(&removed), ["Dropped ana/scan.tar@1 here, 4.1 GiB freed"]);
        removed.dropped.push(publication(2));
        removed.unpublished.push(publication(2));
        let expected = [
            "Unpublished ana/scan.tar@2",
            "Dropped ana/scan.tar@1 here",
            "Dropped ana/scan.tar@2 here",
            "4.1 GiB freed",
        ];
        assert_eq!(lines(&removed), expected);
    }
}
