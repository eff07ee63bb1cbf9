//! HTTP/1.1 to the letter: every topic of the wire test, played through the binary.
//!
//! The cases stand in `wire/cases`, what each of them allows beside it. A case that fails and
//! is known to is named here with its cause, so that the list is seen and can only shrink.
//! `benches/wire` plays the same cases through other proxies.

#![allow(clippy::unwrap_used)]

#[path = "wire/judged.rs"]
mod judged;
mod support;
#[path = "wire/mod.rs"]
mod wire;

use wire::play::play;
use wire::product::Product;

/// Cases that tollring does not pass: topic, name, and why.
const KNOWN_FAILURES: &[(&str, &str, &str)] = &[];

/// Plays a topic and expects what is known: every case passes but those of the list.
#[track_caller]
fn plays_well(topic: &str) {
    let played = play(wire::topic(topic), Product::Tollring).expect("the binary starts");
    let known = |name: &str| {
        KNOWN_FAILURES
            .iter()
            .any(|&(of, case, _)| of == topic && case == name)
    };
    let mut wrong = Vec::new();
    for case in &played {
        match &case.verdict {
            Err(why) if !known(case.name) => {
                wrong.push(format!("  {} ({}): {why}", case.name, case.rfc));
            }
            Ok(()) if known(case.name) => {
                wrong.push(format!("  {}: passes; take it off the list", case.name));
            }
            _ => {}
        }
    }
    let gone = KNOWN_FAILURES
        .iter()
        .filter(|&&(of, case, _)| of == topic && played.iter().all(|played| played.name != case));
    wrong.extend(gone.map(|(_, case, _)| format!("  {case}: no such case")));
    assert!(
        wrong.is_empty(),
        "{topic}: {} of {} are not as they should be:\n{}",
        wrong.len(),
        played.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_request_line_is_one_method_one_target_and_one_version() {
    plays_well("request line");
}

#[test]
fn a_target_is_passed_on_as_it_was_written_or_refused() {
    plays_well("target");
}

#[test]
fn exactly_one_host_says_where_a_request_goes() {
    plays_well("host");
}

#[test]
fn a_field_is_a_token_a_colon_and_a_clean_value() {
    plays_well("fields");
}

#[test]
fn a_request_is_framed_once_and_plainly() {
    plays_well("framing");
}

#[test]
fn chunks_say_their_size_and_nothing_else() {
    plays_well("chunked");
}

#[test]
fn what_ends_at_a_hop_goes_no_further() {
    plays_well("hop by hop");
}

#[test]
fn a_connection_carries_whole_requests_in_order() {
    plays_well("connections");
}

#[test]
fn nothing_is_sent_twice_that_may_have_been_done() {
    plays_well("pool");
}

#[test]
fn a_client_that_waits_is_told_to_go_on_or_why_not() {
    plays_well("expect");
}

#[test]
fn an_answer_that_cannot_be_read_is_a_502() {
    plays_well("answer head");
}

#[test]
fn an_answer_is_framed_once_and_plainly() {
    plays_well("answer framing");
}

#[test]
fn an_answer_that_breaks_off_is_visibly_cut() {
    plays_well("answer body");
}

#[test]
fn an_answer_leaves_when_it_comes() {
    plays_well("answer flow");
}

#[test]
fn nobody_is_waited_for_without_end() {
    plays_well("deadlines");
}

#[test]
fn the_way_to_a_model_obeys_the_same_rules() {
    plays_well("models");
}

#[test]
fn every_topic_is_played_and_there_are_three_hundred_cases() {
    let own_words = include_str!("wire.rs");
    for topic in wire::TOPICS {
        let call = format!("plays_well({:?});", topic.name);
        assert!(own_words.contains(&call), "nobody plays {:?}", topic.name);
    }
    let cases: usize = wire::TOPICS.iter().map(|topic| topic.cases().len()).sum();
    assert!(cases >= 300, "only {cases} cases");
}
