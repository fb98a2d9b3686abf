//! `info`: everything about one file.

use p2p_proto::{
    ByteCount,
    v1::{HolderInfo, InfoRequest, InfoResponse, Publication},
};

use super::incomplete;
use crate::{
    cli::RefArgs,
    context::Context,
    exit::Stop,
    output::{full_name, json, one_line, short_hash, table::Column, time},
};

const VERSIONS: [Column; 5] = [
    Column::text("VERSION"),
    Column::number("SIZE"),
    Column::text("HASH").spare(1),
    Column::text("VISIBILITY").spare(2),
    Column::text("AGE").spare(3),
];
const HOLDERS: [Column; 3] = [
    Column::name("HOLDER"),
    Column::text("LAST SEEN"),
    Column::text("CONTENT"),
];

/// Shows the file, its versions and its holders.
pub(crate) async fn run(ctx: &Context, args: RefArgs) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let request = InfoRequest {
        r#ref: args.reference,
    };
    let answer = daemon.client.info(request).await;
    let info = answer.map_err(|status| daemon.failure(status))?.into_inner();
    if ctx.out.is_json() {
        return ctx.out.json("info", &json::Info::from(info));
    }
    show(ctx, info)
}

fn show(ctx: &Context, info: InfoResponse) -> Result<(), Stop> {
    let publication = info.publication.ok_or_else(|| incomplete("a publication"))?;
    let published = time::minute(&publication.published_at);
    let age = time::ago(&publication.published_at);
    ctx.out.line(full_name(&publication))?;
    for (label, value) in [
        (
            "size",
            format!("{} ({} bytes)", ByteCount(publication.size), publication.size),
        ),
        ("hash", publication.hash),
        ("visibility", publication.visibility),
        ("published", format!("{published}, {age}")),
    ] {
        ctx.out.line(format_args!("{label:<12}{}", one_line(&value)))?;
    }
    if !info.versions.is_empty() {
        ctx.out.line("")?;
        ctx.out
            .table(&VERSIONS, info.versions.into_iter().map(version_row))?;
    }
    ctx.out.line("")?;
    if info.holders.is_empty() {
        return ctx.out.line("No peer holds it.");
    }
    ctx.out.table(&HOLDERS, info.holders.into_iter().map(holder_row))
}

fn version_row(version: Publication) -> [String; 5] {
    [
        format!("@{}", version.version),
        ByteCount(version.size).to_string(),
        short_hash(&version.hash),
        version.visibility,
        time::age_of(&version.published_at),
    ]
}

fn holder_row(holder: HolderInfo) -> [String; 3] {
    let seen = match holder.online {
        true => "online".to_owned(),
        false => time::ago(&holder.last_seen_at),
    };
    let content = if holder.complete { "complete" } else { "partial" };
    [holder.peer, seen, content.to_owned()]
}
