//! `roles`, `bindings` and `public`.

use std::collections::BTreeMap;

use crate::domain::binding::{Binding, Permission, Right, Role};
use crate::domain::path::{PathPattern, foreign};

use super::fields::Fields;
use super::problem::quoted;
use super::text;

/// How permissions name the control API among services.
const OFFBOARD: &str = "offboard";

/// Indices by name.
pub type Indices<'a> = BTreeMap<&'a str, u16>;

/// The roles, in the order written.
#[must_use]
pub fn roles(sections: &[Fields<'_>], services: &Indices<'_>) -> Vec<Role> {
    sections.iter().map(|fields| role(fields, services)).collect()
}

fn role(fields: &Fields<'_>, services: &Indices<'_>) -> Role {
    let mut role = Role { name: fields.owned("name").unwrap_or_default().into(), permissions: vec![], rights: vec![] };
    for permission in fields.sections("permissions").unwrap_or_default() {
        let names = permission.texts("services").unwrap_or_default();
        if names.iter().any(|name| name == OFFBOARD) {
            role.rights.extend(rights(&permission, names.len() > 1));
        } else {
            role.permissions.push(self::permission(&permission, services));
        }
    }
    role.rights.sort_unstable();
    role.rights.dedup();
    role
}

fn rights(fields: &Fields<'_>, mixed: bool) -> Vec<Right> {
    if mixed {
        fields.wrong("services", "`offboard` must stand alone; put other services in a permission of their own");
    }
    if fields.has("paths") {
        fields.wrong("paths", "`offboard` has no paths");
    }
    let Some(items) = fields.items("methods") else { return Right::ALL.to_vec() };
    let right = |item: &super::fields::Item<'_>| {
        let right = Right::ALL.into_iter().find(|right| right.word() == item.text);
        if right.is_none() {
            let words: Vec<_> = Right::ALL.iter().map(|right| right.word()).collect();
            fields.wrong_item(item, format!("{} is not one of {}", quoted(item.text), words.join(", ")));
        }
        right
    };
    items.iter().filter_map(right).collect()
}

/// One permission in the mesh.
fn permission(fields: &Fields<'_>, services: &Indices<'_>) -> Permission {
    Permission { services: named(fields, services), methods: methods(fields), paths: paths(fields) }
}

fn named(fields: &Fields<'_>, services: &Indices<'_>) -> Option<Vec<u16>> {
    let index = |item: &super::fields::Item<'_>| {
        let index = services.get(item.text).copied();
        if index.is_none() {
            let what = match item.text {
                "default" => "`default` cannot be named; a permission without `services` applies there".to_owned(),
                OFFBOARD => "the control API is never public".to_owned(),
                name => format!("unknown service {}", quoted(name)),
            };
            fields.wrong_item(item, what);
        }
        index
    };
    fields.items("services").map(|items| items.iter().filter_map(index).collect())
}

fn methods(fields: &Fields<'_>) -> Option<Vec<String>> {
    let items = fields.items("methods")?;
    for item in items.iter().filter(|item| item.text.chars().any(|c| c.is_ascii_lowercase())) {
        fields.wrong_item(item, format!("{} must be in upper case", quoted(item.text)));
    }
    Some(items.into_iter().map(|item| item.text.to_owned()).collect())
}

fn paths(fields: &Fields<'_>) -> Option<Vec<PathPattern>> {
    let items = fields.items("paths")?;
    for item in &items {
        if let Some((segment, language)) = foreign::looks_like(item.text) {
            let what = format!(
                "{} looks like {language} but matches only itself; `*` is any one segment, `**` any number",
                quoted(segment)
            );
            fields.warn_item(item, what);
        }
    }
    Some(items.iter().filter_map(|item| text::path(item.text).ok()).collect())
}

/// What needs no credential.
#[must_use]
pub fn public(root: &Fields<'_>, services: &Indices<'_>) -> Vec<Permission> {
    let entry = |fields: &Fields<'_>| {
        if !fields.has("services") && !fields.has("paths") {
            fields.warn("", "every path of every service is public");
        }
        permission(fields, services)
    };
    root.sections("public").unwrap_or_default().iter().map(entry).collect()
}

/// Who holds which role.
#[must_use]
pub fn bindings(root: &Fields<'_>, roles: &Indices<'_>, issuers: &Indices<'_>) -> Vec<Binding> {
    let sections = root.sections("bindings").unwrap_or_default();
    sections.iter().filter_map(|fields| binding(fields, roles, issuers)).collect()
}

fn binding(fields: &Fields<'_>, roles: &Indices<'_>, issuers: &Indices<'_>) -> Option<Binding> {
    let role = fields.text("role").and_then(|name| {
        let index = roles.get(name).copied();
        if index.is_none() {
            fields.wrong("role", format!("unknown role {}", quoted(name)));
        }
        index
    });
    let everyone = fields.flag("everyone").unwrap_or(false);
    let somebody = fields.has("groups") || fields.has("people") || fields.has("clients");
    let issuer = if everyone { None } else { issuer(fields, issuers) };
    match (everyone, somebody || fields.has("issuer")) {
        (true, true) => fields.wrong("everyone", "must stand alone, without `groups`, `people`, `clients` or `issuer`"),
        (true, false) => fields.warn("everyone", "every verified credential of every issuer holds this role"),
        (false, _) if !somebody => fields.wrong("", "binds nobody; set `groups`, `people`, `clients` or `everyone`"),
        _ => {}
    }
    let binding = Binding {
        role: role.unwrap_or_default(),
        issuer,
        groups: fields.texts("groups").unwrap_or_default(),
        people: fields.texts("people").unwrap_or_default(),
        clients: fields.texts("clients").unwrap_or_default(),
        everyone,
        expires: fields.read("expires", text::time),
        place: fields.stands_at(),
    };
    role.map(|_| binding)
}

fn issuer(fields: &Fields<'_>, issuers: &Indices<'_>) -> Option<u16> {
    let Some(name) = fields.text("issuer") else {
        let mut indices = issuers.values();
        return match (indices.next(), indices.next()) {
            (Some(only), None) => Some(*only),
            (None, _) => {
                fields.wrong("", "needs an issuer, but none is configured");
                None
            }
            _ => {
                fields.wrong("", "needs `issuer`, because several are configured");
                None
            }
        };
    };
    let index = issuers.get(name).copied();
    if index.is_none() {
        fields.wrong("issuer", format!("unknown issuer {}", quoted(name)));
    }
    index
}
