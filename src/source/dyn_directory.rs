//! Any directory, behind one type: [`Directory`] with its futures boxed and its page tokens shared.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::directory::{Changes, Directory, Finding, Page};
use super::error::SourceError;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

/// Where a listing of some directory goes on. Only that directory can read it.
#[derive(Clone)]
pub struct AnyPageToken(Arc<dyn Any + Send + Sync>);

impl fmt::Debug for AnyPageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyPageToken")
    }
}

/// [`Directory`], as an object. Every directory is one.
pub trait DynDirectory: Send {
    /// [`Directory::waits`]
    fn waits(&self) -> bool;

    /// [`Directory::goes_back`]
    fn goes_back(&self) -> bool;

    /// [`Directory::changes`]
    fn changes<'a>(&'a mut self, cursor: Option<&'a str>) -> BoxFuture<'a, Result<Changes, SourceError>>;

    /// [`Directory::page`]
    fn page(&mut self, place: Option<AnyPageToken>) -> BoxFuture<'_, Result<Page<AnyPageToken>, SourceError>>;

    /// [`Directory::taken_in`]
    fn taken_in(&mut self);

    /// [`Directory::concluded`]
    fn concluded(&mut self, taken: bool);

    /// [`Directory::look_up`]
    fn look_up<'a>(
        &'a mut self,
        attribute: &'a str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<Option<Person>, SourceError>>;

    /// [`Directory::examine`]
    fn examine(&mut self) -> BoxFuture<'_, Vec<Finding>>;

    /// [`Directory::date`]
    fn date(&self) -> Option<Timestamp>;
}

impl<D: Directory> DynDirectory for D {
    fn waits(&self) -> bool {
        Directory::waits(self)
    }

    fn goes_back(&self) -> bool {
        Directory::goes_back(self)
    }

    fn changes<'a>(&'a mut self, cursor: Option<&'a str>) -> BoxFuture<'a, Result<Changes, SourceError>> {
        Box::pin(Directory::changes(self, cursor))
    }

    fn page(&mut self, place: Option<AnyPageToken>) -> BoxFuture<'_, Result<Page<AnyPageToken>, SourceError>> {
        Box::pin(async move {
            // INVARIANT: a token comes back to the directory that gave it.
            let place = place.map(|place| place.0.downcast_ref::<D::PageToken>().cloned().ok_or_else(foreign));
            let page = Directory::page(self, place.transpose()?).await?;
            Ok(page.with_token(|token| AnyPageToken(Arc::new(token))))
        })
    }

    fn taken_in(&mut self) {
        Directory::taken_in(self);
    }

    fn concluded(&mut self, taken: bool) {
        Directory::concluded(self, taken);
    }

    fn look_up<'a>(
        &'a mut self,
        attribute: &'a str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<Option<Person>, SourceError>> {
        Box::pin(Directory::look_up(self, attribute, value))
    }

    fn examine(&mut self) -> BoxFuture<'_, Vec<Finding>> {
        Box::pin(Directory::examine(self))
    }

    fn date(&self) -> Option<Timestamp> {
        Directory::date(self)
    }
}

fn foreign() -> SourceError {
    SourceError::Malformed { step: "go on with a listing", what: "its place is another directory's".to_owned() }
}
