//! `POST /upload`: on which peers to place copies, each with a grant to replicate in its own name.

use std::collections::HashSet;

use axum::{Json, extract::State};
use p2p_proto::{
    index::HoldState,
    rest::{
        location::Holder,
        placement::{
            MAX_COPIES, MAX_EXCLUDED, MAX_PATTERN, MAX_PATTERNS, PlaceRequest, PlaceResponse, Target,
        },
        problem::ProblemKind,
        publications::Publication,
    },
};

use super::{
    Shared,
    auth::Caller,
    body::{Answer, JsonBody},
};
use crate::{
    ca::grants::Bearer,
    placement::{Pattern, Question, Unfit, decide},
    problem::ApiError,
    resolve::not_found,
    state,
    storage::{KnownHolder, Place, Places, Session},
};

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    JsonBody(request): JsonBody<PlaceRequest>,
) -> Answer<PlaceResponse> {
    check(&request)?;
    let found = state
        .storage
        .publication(session.user, request.publication)
        .await?;
    let publication = found.ok_or_else(|| not_found(&session, &format!("id:{}", request.publication)))?;
    let Places { holders, peers } = state.storage.places(&session, publication.id).await?;
    let holders = online(holders);
    let to: Vec<Pattern> = request.to.iter().map(|text| Pattern::read(text)).collect();
    let question = Question {
        of: &publication,
        user: &session.user_name,
        peer: session.peer,
        copies: request.copies,
        to: &to,
        exclude: &request.exclude.iter().copied().collect::<HashSet<_>>(),
        online_copies: holders.len(),
        now: state.clock.now(),
    };
    let plan = decide(&question, peers).map_err(|unfit| told(&session, &unfit))?;
    let targets = plan.targets.into_iter();
    let targets = targets
        .filter_map(|place| target(&state, &publication, place))
        .collect();
    Ok(Json(PlaceResponse {
        holders,
        needed: plan.needed.try_into().unwrap_or(u32::MAX),
        targets,
        refused: plan.refused,
        publication,
    }))
}

fn check(request: &PlaceRequest) -> Result<(), ApiError> {
    let invalid = |detail: String| Err(ApiError::new(ProblemKind::Invalid, detail));
    if request.copies > MAX_COPIES {
        return invalid(format!("copies is at most {MAX_COPIES}"));
    }
    if request.to.len() > MAX_PATTERNS {
        return invalid(format!("to has at most {MAX_PATTERNS} entries"));
    }
    let fits = |pattern: &String| (1..=MAX_PATTERN).contains(&pattern.chars().count());
    if !request.to.iter().all(fits) {
        return invalid(format!("an entry of to has 1 to {MAX_PATTERN} characters"));
    }
    if request.exclude.len() > MAX_EXCLUDED {
        return invalid(format!("exclude has at most {MAX_EXCLUDED} entries"));
    }
    if request.copies == 0 && request.to.is_empty() {
        return invalid("copies or to says where copies go".to_owned());
    }
    Ok(())
}

fn online(known: Vec<KnownHolder>) -> Vec<Holder> {
    let holders = known.into_iter().map(|known| known.holder);
    holders
        .filter(|holder| holder.online && holder.state == HoldState::Complete)
        .collect()
}

fn target(state: &state::State, of: &Publication, place: Place) -> Option<Target> {
    let bearer = Bearer {
        peer: place.peer_id,
        certificate_expires_at: place.certificate_expires_at?,
    };
    Some(Target {
        grant: state
            .grants
            .replicate(state.cluster, &bearer, of, state.clock.now()),
        peer_id: place.peer_id,
        peer_name: place.peer_name,
        addresses: place.addresses,
    })
}

fn told(session: &Session, unfit: &Unfit) -> ApiError {
    match unfit {
        Unfit::Nobody(text) => ApiError::new(
            ProblemKind::NotFound,
            format!("no peer \"{text}\" is visible to {}", session.user_name),
        ),
        Unfit::TooMany(_) => ApiError::new(ProblemKind::Invalid, unfit.to_string()),
    }
}
