//! Queries as Okta reads them: SCIM filters of the kinds that it documents, and nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

/// What it says of a query that it does not take.
pub type Wrong = String;

/// One comparison.
#[derive(Clone, Debug)]
struct Comparison {
    attribute: String,
    operator: String,
    value: String,
}

/// `a eq "x" and b eq "y" or c eq "z"`
#[derive(Clone, Debug)]
pub struct Filter(Vec<Vec<Comparison>>);

impl Filter {
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let mut words = words(text)?.into_iter();
        let mut any = vec![vec![]];
        loop {
            let (Some(attribute), Some(operator), Some(value)) = (words.next(), words.next(), words.next()) else {
                return Err(format!("half a comparison in {text}"));
            };
            let value = value.strip_prefix('"').ok_or_else(|| format!("{value} is not quoted"))?.to_owned();
            any.last_mut().unwrap().push(Comparison { attribute, operator, value });
            match words.next().as_deref() {
                Some("or") => any.push(vec![]),
                Some("and") => {}
                None => return Ok(Self(any)),
                Some(other) => return Err(format!("{other} between comparisons")),
            }
        }
    }

    fn check(&self, good: impl Fn(&Comparison) -> bool) -> Result<(), Wrong> {
        let bad = self.0.iter().flatten().find(|comparison| !good(comparison));
        bad.map_or(Ok(()), |comparison| Err(format!("not supported: {comparison:?}")))
    }

    /// `filter` of the System Log: anything but the time.
    pub fn of_log(text: &str) -> Result<Self, Wrong> {
        let filter = Self::parse(text)?;
        filter
            .check(|one| one.attribute != "published" && ["eq", "sw", "co", "ne"].contains(&one.operator.as_str()))?;
        Ok(filter)
    }

    /// `filter` of users.
    pub fn of_users(text: &str) -> Result<Self, Wrong> {
        const STATUSES: [&str; 8] = [
            "ACTIVE",
            "DEPROVISIONED",
            "LOCKED_OUT",
            "PASSWORD_EXPIRED",
            "PROVISIONED",
            "RECOVERY",
            "STAGED",
            "SUSPENDED",
        ];
        let filter = Self::parse(text)?;
        filter.check(|one| match one.attribute.as_str() {
            "status" => one.operator == "eq" && STATUSES.contains(&one.value.as_str()),
            "lastUpdated" => ["eq", "gt", "ge", "lt", "le"].contains(&one.operator.as_str()),
            "id" | "profile.login" | "profile.email" | "profile.firstName" | "profile.lastName" => one.operator == "eq",
            _ => false,
        })?;
        Ok(filter)
    }

    /// `search` of users.
    pub fn of_search(text: &str) -> Result<Self, Wrong> {
        let filter = Self::parse(text)?;
        filter.check(|one| ["eq", "sw", "co"].contains(&one.operator.as_str()))?;
        Ok(filter)
    }

    pub fn fits(&self, record: &Value) -> bool {
        let one = |comparison: &Comparison| {
            let found = comparison.attribute.split('.').fold(record, |value, name| &value[name]);
            let (found, value) = (found.as_str().unwrap_or_default(), comparison.value.as_str());
            match comparison.operator.as_str() {
                "eq" => found == value,
                "ne" => found != value,
                "sw" => found.starts_with(value),
                "co" => found.contains(value),
                "gt" => found > value,
                "ge" => found >= value,
                "lt" => found < value,
                _ => found <= value,
            }
        };
        self.0.iter().any(|all| all.iter().all(one))
    }
}

/// Words, and quoted texts with the quote that they begin with.
fn words(text: &str) -> Result<Vec<String>, Wrong> {
    let mut found = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut word = String::from(letter);
        match letter {
            ' ' => continue,
            '"' => loop {
                match letters.next().ok_or("a quote without its end")? {
                    '"' => break,
                    '\\' => word.extend(letters.next()),
                    other => word.push(other),
                }
            },
            '[' | ']' => return Err("brackets".into()),
            _ => {
                while letters.peek().is_some_and(|letter| *letter != ' ') {
                    word.extend(letters.next());
                }
            }
        }
        found.push(word);
    }
    Ok(found)
}

/// The parameters of a request, each at most once, and none that is not among `known`.
pub fn parameters(query: &str, known: &[&str]) -> Result<BTreeMap<String, String>, Wrong> {
    let url = reqwest::Url::parse(&format!("http://okta/?{query}")).unwrap();
    let mut found = BTreeMap::new();
    for (name, value) in url.query_pairs().filter(|(name, _)| !name.is_empty()) {
        if !known.contains(&name.as_ref()) {
            return Err(format!("unknown parameter {name}"));
        }
        if found.insert(name.to_string(), value.to_string()).is_some() {
            return Err(format!("{name} twice"));
        }
    }
    Ok(found)
}

/// `limit`, within its bounds.
pub fn limit(found: &BTreeMap<String, String>, default: usize, most: usize) -> Result<usize, Wrong> {
    let Some(text) = found.get("limit") else { return Ok(default) };
    let limit = text.parse().map_err(|_| format!("limit {text}"))?;
    if limit > most { Err(format!("limit {limit}")) } else { Ok(limit) }
}
