//! Views of what services that observe would have refused.

use crate::app::observed::{Group, Shows, advice};
use crate::control::views::ObservedView;
use crate::state::State;

/// A group, with what to add to the configuration in force.
pub(super) fn view(state: &State, group: Group) -> ObservedView {
    let advice = advice::of(state, &group);
    let view = ObservedView {
        service: group.service.to_string(),
        reason: group.reason.code().to_owned(),
        detail: group.detail,
        segment: group.segment,
        count: group.count,
        first: group.first,
        last: group.last,
        example: [
            group.example.method.into_owned(),
            group.example.host,
            group.example.path,
            group.example.id.to_string(),
        ],
        advice,
        ..ObservedView::default()
    };
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    match group.shows {
        Shows::Nothing | Shows::Other => view,
        Shows::Unreadable => ObservedView { claimed: true, ..view },
        Shows::Several => ObservedView { several: true, ..view },
        Shows::Verified { issuer, audiences, client, .. } => {
            ObservedView { issuer: Some(issuer.to_string()), audiences, client, ..view }
        }
        Shows::Claimed(claimed) => ObservedView {
            issuer: text(&claimed.issuer),
            audiences: claimed.audiences.iter().map(ToString::to_string).collect(),
            key_id: text(&claimed.key_id),
            claimed: true,
            ..view
        },
    }
}
