//! `server.control.audiences`: whose tokens are accepted on `control`.

use std::sync::Arc;

use super::fields::Fields;
use super::problem::quoted;
use crate::domain::binding::Role;
use crate::domain::policy::Policy;

/// The audiences of operators' tokens. A service of the mesh must not be able to use an operator's token, so none may be
/// an audience of the mesh, too.
#[must_use]
pub fn audiences(root: &Fields<'_>, policy: &Policy) -> Option<Arc<[String]>> {
    let control = root.section("server").section("control");
    let items = control.items("audiences")?;
    for item in items.iter().filter(|item| policy.mesh_audiences().any(|audience| audience == item.text)) {
        let what = format!(
            "{} is an audience of the mesh, too; every service there could use an operator's token: choose another",
            quoted(item.text)
        );
        control.wrong_item(item, what);
    }
    Some(items.iter().map(|item| item.text.to_owned()).collect())
}

/// Warns of rights that nobody can use, because no token is accepted on `control`.
pub fn warn_of_unusable_rights(sections: &[Fields<'_>], roles: &[Role]) {
    for (fields, _) in sections.iter().zip(roles).filter(|(_, role)| !role.rights.is_empty()) {
        fields.warn(
            "permissions",
            "grants rights on `offboard`, but no token is accepted there; set `server.control.audiences`",
        );
    }
}
