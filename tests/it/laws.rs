//! The laws (design section 2): tests named after each law, on every implementation of the log, and the planted faults
//! that they catch.
//!
//! A test is an async function over a [`Store`]. `laws!` runs it in memory and on SQLite, and once more for each fault,
//! where it must report that the law is broken.

pub mod world;

mod law_1;
mod law_10;
mod law_11;
mod law_2;
mod law_3;
mod law_4;
mod law_5;
mod law_6;
mod law_7;
mod law_8;
mod law_9;
mod names;

use std::panic::{AssertUnwindSafe, catch_unwind};

use offboard::faults::{Fault, plant};
use world::{InMemory, OnDisk, Store};

/// How the panic of a broken law begins.
const BROKEN: &str = "the law is broken";

/// Checks one statement of the law, and fails the test if it does not hold.
#[track_caller]
pub fn holds(kept: bool, what: impl std::fmt::Display) {
    assert!(kept, "{BROKEN}: not: {what}");
}

/// Like [`holds`], for two things that must be the same.
#[track_caller]
pub fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T, what: impl std::fmt::Display) {
    assert!(found == expected, "{BROKEN}: {what}: found {found:?}, expected {expected:?}");
}

/// Runs a test to its end on this thread, where the faults are planted.
fn run(law: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(law);
}

/// Runs a test with a fault. It must notice the fault as a broken law.
fn catches(fault: Fault, law: impl Future<Output = ()>) {
    let _planted = plant(fault);
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(law))) else { panic!("{fault:?} went unnoticed") };
    let said = panic.downcast_ref::<String>().map_or("", String::as_str);
    assert!(said.starts_with(BROKEN), "{fault:?} made the test fail in another way: {said}");
}

macro_rules! laws {
    ($($law:ident: { $($test:ident catches [$($fault:ident),*]),+ $(,)? })+) => {
        $($(
            mod $test {
                use super::*;

                #[test]
                fn in_memory() {
                    run($law::$test(InMemory::new()));
                }

                #[test]
                fn on_sqlite() {
                    run($law::$test(OnDisk::new()));
                }

                #[test]
                fn catches_its_faults() {
                    $(catches(Fault::$fault, $law::$test(InMemory::new()));)*
                }
            }
        )+)+
    };
}

laws! {
    law_1: {
        law_1_a_revocation_is_looked_up_behind_the_cache catches [CacheHoldsAllow, OneNameDenies],
        law_1_a_revocation_wins_the_race_with_verifying catches [StateBeforeAwait],
    }
    law_2: {
        law_2_the_strictest_answer_wins catches [GoodMakesUpForBad],
    }
    law_3: {
        law_3_absent_is_not_empty catches [AbsentIsEmpty],
        law_3_a_link_that_says_nothing_is_a_miss catches [EmptyLinkFallsThrough],
    }
    law_4: {
        law_4_whatever_a_request_causes_is_a_denial catches [FailureAllows],
    }
    law_5: {
        law_5_acknowledged_is_durable_and_enforced catches [AcknowledgedUnwritten, AcknowledgedUnenforced],
        law_5_what_a_restart_would_forget_is_not_acknowledged catches [StoreUnseen],
    }
    law_6: {
        law_6_nothing_weakens_a_revocation_by_accident
            catches [ReloadForgets, SnapshotForgets, GuardedListingRestores, ClockLifts],
    }
    names: {
        law_6_a_leaver_of_a_file_is_out_however_it_is_written catches [NamesExactly],
        law_6_a_leaver_of_keycloak_is_out_however_it_is_written catches [NamesExactly],
        law_6_a_leaver_of_okta_is_out_however_it_is_written catches [NamesExactly],
        law_6_a_leaver_of_entra_is_out_however_it_is_written catches [NamesExactly],
        law_6_a_leaver_of_ldap_is_out_however_it_is_written catches [NamesExactly],
    }
    law_7: {
        law_7_a_block_that_ends_leaves_a_cut_off catches [EndsWithoutCutOff],
    }
    law_8: {
        law_8_a_mover_loses_at_once_what_the_old_role_gave catches [TokenGroupsStay],
    }
    law_9: {
        law_9_every_decision_names_its_cause_and_is_the_same_again catches [CauseIsLost],
        law_9_explain_tells_the_steps_of_a_decision_also_after_a_reload catches [CauseIsLost],
        law_9_a_check_is_judged_by_the_configuration_that_it_reports catches [JudgedByOldRules],
    }
    law_10: {
        law_10_no_secret_leaves catches [TokenIsLogged, ClaimIsQuoted],
    }
    law_11: {
        law_11_one_order_of_events_for_all catches [FoldsItsOwn],
        law_11_copies_have_the_same_digests catches [FoldSkips],
        law_11_without_a_store_only_what_denies_is_enforced catches [VolatileGives],
    }
}
