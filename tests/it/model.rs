//! What Offboard is, said once more and as simply as possible: a list of everything that was ever revoked, searched from
//! end to end on each check, for three people (0, 1, 2) of one source. [`crate::histories`] holds the real one to it.

use std::collections::BTreeSet;

use offboard::domain::reason::Reason;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    Person(usize),
    /// Whoever goes by the name that persons 0 and 1 share.
    Shared,
    Subject(usize),
    Session(usize),
    Issuer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Operator,
    Configuration,
    Source,
}

/// One revocation, standing or ended. Times are seconds.
#[derive(Clone, Debug)]
pub struct Rule {
    pub about: About,
    /// `None`: a block.
    cut_off: Option<i64>,
    by: By,
    effective: i64,
    expires: Option<i64>,
    /// It ended, and left a cut-off at this time, if one.
    ended: Option<Option<i64>>,
}

/// A token: whose, of which session, issued when.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub who: usize,
    pub session: usize,
    pub issued: i64,
}

/// The wall clock, and the time that never falls.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub wall: i64,
    pub steady: i64,
}

#[derive(Debug, Default)]
pub struct Model {
    pub rules: Vec<Rule>,
    /// Whether the source says that they are gone, by person.
    departed: [bool; 3],
    /// Until when glass is broken, by person.
    pub exempted: [i64; 3],
    seen: BTreeSet<u8>,
}

impl Model {
    pub fn revoke(&mut self, about: About, cut_off: Option<i64>, by: By, effective: i64, expires: Option<i64>) {
        self.rules.push(Rule { about, cut_off, by, effective, expires, ended: None });
    }

    /// Whether an operator's word on what this is about means one person: of those who share a name, one is here.
    pub fn means_one(&self, about: About) -> bool {
        about != About::Shared || self.departed[0] != self.departed[1]
    }

    /// When what stands takes effect; `None`: it has ended.
    pub fn begins(&self, index: usize) -> Option<i64> {
        let rule = &self.rules[index];
        rule.ended.is_none().then_some(rule.effective)
    }

    fn end(&mut self, index: usize, at: i64, now: Clocks) {
        let rule = &mut self.rules[index];
        let block = rule.cut_off.is_none() && !matches!(rule.about, About::Session(_));
        let leaves = block && rule.effective <= now.steady;
        // A clock that was set back dates no end before the beginning.
        rule.ended = Some(leaves.then_some(at.max(rule.effective)));
    }

    fn standing(&self, fits: impl Fn(&Rule) -> bool) -> Vec<usize> {
        let stands = |index: &usize| self.rules[*index].ended.is_none() && fits(&self.rules[*index]);
        (0..self.rules.len()).filter(stands).collect()
    }

    /// Ends what an operator may end; whether that was so.
    pub fn restore(&mut self, index: usize, now: Clocks) -> bool {
        self.standing(|rule| rule.by == By::Operator).contains(&index).then(|| self.end(index, now.wall, now)).is_some()
    }

    /// Takes back what an operator did, with the cut-off that it left; whether anything was left of it.
    pub fn undo(&mut self, index: usize) -> bool {
        let rule = &mut self.rules[index];
        let taken = rule.by == By::Operator && rule.ended != Some(None);
        if taken {
            rule.ended = Some(None);
        }
        taken
    }

    /// Whether somebody is blocked by an operator or the configuration: no exemption helps.
    pub fn blocked(&self, who: usize, now: Clocks) -> bool {
        let on = |about: About| about == About::Person(who) || (about == About::Shared && who < 2);
        let blocks = |rule: &Rule| rule.cut_off.is_none() && rule.effective <= now.steady && on(rule.about);
        !self.standing(|rule| rule.by != By::Source && blocks(rule)).is_empty()
    }

    /// The source's word on one person.
    pub fn told(&mut self, who: usize, active: bool, departed: bool, now: Clocks) {
        self.departed[who] = departed;
        match self.standing(|rule| rule.by == By::Source && rule.about == About::Person(who)).pop() {
            Some(block) if active => self.end(block, now.wall, now),
            None if !active => self.revoke(About::Person(who), None, By::Source, now.wall, None),
            _ => {}
        }
    }

    /// An event of the source; a second delivery is none.
    pub fn event(&mut self, id: u8, who: usize, active: bool, now: Clocks) {
        self.seen.insert(id).then(|| self.told(who, active, false, now));
    }

    /// A listing; `None` where somebody is not in it. Whether it is taken.
    pub fn list(&mut self, listed: [Option<bool>; 3], complete: bool, now: Clocks) -> bool {
        let known = self.departed.iter().filter(|gone| !**gone).count();
        let missed = |who: &usize| complete && !self.departed[*who] && listed[*who].is_none();
        let missing: Vec<usize> = (0..3).filter(missed).collect();
        let nobody = complete && listed.iter().all(Option::is_none);
        let held_back = nobody || (!missing.is_empty() && missing.len() == known);
        for (who, active) in listed.iter().enumerate().filter_map(|(who, active)| Some((who, (*active)?))) {
            if !held_back || !active {
                self.told(who, active, false, now);
            }
        }
        let gone = missing.into_iter().filter(|_| !held_back);
        gone.for_each(|who| self.told(who, false, true, now));
        !held_back
    }

    /// `revocations:` of a new configuration.
    pub fn configure(&mut self, list: &BTreeSet<About>, now: Clocks) {
        let gone = self.standing(|rule| rule.by == By::Configuration && !list.contains(&rule.about));
        gone.into_iter().for_each(|gone| self.end(gone, now.wall, now));
        for about in list {
            let noted = !self.standing(|rule| rule.by == By::Configuration && rule.about == *about).is_empty();
            (!noted).then(|| self.revoke(*about, None, By::Configuration, now.wall, None));
        }
    }

    /// Time went on: what expired ends, dated with when it was to end.
    pub fn tick(&mut self, now: Clocks) {
        let over = self.standing(|rule| rule.expires.is_some_and(|expires| expires <= now.steady));
        over.into_iter().for_each(|over| self.end(over, self.rules[over].expires.unwrap_or_default(), now));
    }

    /// The answer to a request with this token.
    pub fn check(&self, token: Token, now: Clocks) -> Reason {
        let mut found = vec![];
        for rule in self.rules.iter().filter(|rule| rule.effective <= now.steady) {
            let reason = match rule.about {
                About::Person(who) if who == token.who => Reason::RevokedPerson,
                About::Shared if token.who < 2 => Reason::RevokedPerson,
                About::Subject(who) if who == token.who => Reason::RevokedSubject,
                About::Session(session) if session == token.session => Reason::RevokedSession,
                About::Issuer => Reason::RevokedIssuer,
                _ => continue,
            };
            let cut_off = || rule.ended.unwrap_or(rule.cut_off).filter(|at| token.issued <= *at);
            let block = rule.ended.is_none() && rule.cut_off.is_none();
            let denies = if block { Some(reason) } else { cut_off().map(|_| Reason::IssuedBeforeCutoff) };
            let lifted = rule.by == By::Source && now.steady < self.exempted[token.who];
            found.extend(denies.map(|reason| if lifted { Reason::Exempted } else { reason }));
        }
        found.extend((token.issued > now.wall + 30).then_some(Reason::NotYetValid));
        found.into_iter().min().unwrap_or(Reason::Allowed)
    }
}
