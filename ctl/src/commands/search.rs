//! `search`: every file that this user may see, by a part of its name.

use p2p_proto::{
    ByteCount,
    v1::{FoundFile, SearchRequest},
};

use crate::{
    cli::SearchArgs,
    context::Context,
    exit::Stop,
    output::{json, table::Column, time},
};

const COLUMNS: [Column; 5] = [
    Column::name("NAME"),
    Column::name("OWNER").spare(1),
    Column::number("SIZE"),
    Column::text("HOLDERS"),
    Column::text("AGE").spare(2),
];

/// Shows what was found; nothing found is success.
pub(crate) async fn run(ctx: &Context, args: SearchArgs) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let request = SearchRequest {
        query: args.query.unwrap_or_default(),
        owner: args.owner.unwrap_or_default(),
        limit: args.limit.unwrap_or_default(),
    };
    let answer = daemon.client.search(request).await;
    let found = answer.map_err(|status| daemon.failure(status))?.into_inner();
    if ctx.out.is_json() {
        return ctx.out.json("search", &json::Search::from(found));
    }
    if found.files.is_empty() {
        ctx.out.note("No file found.");
        return Ok(());
    }
    let (shown, total) = (found.files.len() as u64, found.total);
    ctx.out.table(&COLUMNS, found.files.into_iter().map(row))?;
    if total > shown {
        ctx.out.note(format_args!(
            "{shown} of {total} files shown. For more: --limit N"
        ));
    }
    Ok(())
}

fn row(found: FoundFile) -> [String; 5] {
    let publication = found.publication.unwrap_or_default();
    [
        format!("{}@{}", publication.name, publication.version),
        publication.owner,
        ByteCount(publication.size).to_string(),
        format!("{}/{}", found.holders_online, found.holders_total),
        time::age_of(&publication.published_at),
    ]
}
