//! What usage costs: exact sums, rounded half to even, once per request.
//!
//! Prices come from the snapshot; which of them applied is the caller's to record.

use tollring_config::{NanoUsd, Price, ServicePrice, Weights};

/// Prices of tokens and bytes are for so many of them.
const PER: i128 = 1_000_000;

/// The tokens of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokensUsed {
    /// All input, what came from the provider's cache included.
    pub input: u64,
    /// All output, reasoning included.
    pub output: u64,
    /// The part of `input` that came from the provider's cache; more than `input`
    /// counts as all of it.
    pub cached_input: u64,
}

/// What one request with `usage` costs.
///
/// Never below zero for prices that are not, and at most what a [`NanoUsd`] holds.
pub fn cost(price: &Price, usage: &TokensUsed) -> NanoUsd {
    let cached = usage.cached_input.min(usage.input);
    let parts = [
        priced(usage.input - cached, price.input),
        priced(cached, price.cached_input),
        priced(usage.output, price.output),
        i128::from(price.request.0) * PER,
    ];
    rounded(parts.into_iter().fold(0, i128::saturating_add))
}

/// What one request to a REST service costs, with `bytes` in both bodies together.
pub fn cost_of_bytes(price: &ServicePrice, bytes: u64) -> NanoUsd {
    rounded(priced(bytes, price.megabyte).saturating_add(i128::from(price.request.0) * PER))
}

/// The most output tokens that `funds` pay for after `input` tokens, none of them cached.
///
/// `u64::MAX` if output is free and the rest is affordable; 0 if the rest is not.
pub fn affordable_output(price: &Price, input: u64, funds: NanoUsd) -> u64 {
    let before = priced(input, price.input).saturating_add(i128::from(price.request.0) * PER);
    let left = (i128::from(funds.0) * PER).saturating_sub(before);
    if left < 0 {
        return 0;
    }
    match i128::from(price.output.0) {
        0 => u64::MAX,
        each => u64::try_from(left / each).unwrap_or(u64::MAX),
    }
}

/// The most output tokens for which a limit that weighs tokens has room after `input` of them,
/// none of them cached, when `free` weighted ones are left.
///
/// `u64::MAX` if output weighs nothing and the rest fits; 0 if the rest does not.
pub fn affordable_weighed(weights: &Weights, input: u64, free: i64) -> u64 {
    let before = i128::from(input) * i128::from(weights.input);
    let left = (i128::from(free) * i128::from(Weights::ONE)).saturating_sub(before);
    if left < 0 {
        return 0;
    }
    match i128::from(weights.output) {
        0 => u64::MAX,
        each => u64::try_from(left / each).unwrap_or(u64::MAX),
    }
}

/// Millionths of a nano-USD; one product fits, sums of several saturate.
fn priced(count: u64, per_million: NanoUsd) -> i128 {
    i128::from(count) * i128::from(per_million.0)
}

fn rounded(millionths: i128) -> NanoUsd {
    NanoUsd(half_even(millionths, PER))
}

/// `parts` of which `per` are one whole, rounded half to even: over many requests that favours
/// neither side.
pub(crate) fn half_even(parts: i128, per: i128) -> i64 {
    let (whole, rest) = (parts.div_euclid(per), parts.rem_euclid(per));
    let up = match (2 * rest).cmp(&per) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => whole & 1,
        std::cmp::Ordering::Greater => 1,
    };
    let bounded = (whole + up).clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(bounded).expect("clamped to the range of an i64")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn price(input: i64, output: i64, cached_input: i64, request: i64) -> Price {
        let [input, output] = [NanoUsd(input), NanoUsd(output)];
        Price {
            input,
            output,
            cached_input: NanoUsd(cached_input),
            request: NanoUsd(request),
        }
    }

    #[test]
    fn a_million_tokens_cost_the_price() {
        // 0.15, 0.60 and 0.075 USD per million.
        let price = price(150_000_000, 600_000_000, 75_000_000, 0);
        let million = 1_000_000;
        let usage = TokensUsed {
            input: 2 * million,
            output: million,
            cached_input: million,
        };
        assert_eq!(cost(&price, &usage), NanoUsd(825_000_000));
        let usage = TokensUsed {
            input: 12,
            output: 7,
            cached_input: 0,
        };
        assert_eq!(cost(&price, &usage), NanoUsd(12 * 150 + 7 * 600));
    }

    #[test]
    fn halves_round_to_even_and_only_the_sum_is_rounded() {
        let half = price(500_000, 500_000, 0, 0);
        for (tokens, nano) in [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4)] {
            let usage = TokensUsed {
                input: tokens,
                ..TokensUsed::default()
            };
            assert_eq!(cost(&half, &usage), NanoUsd(nano), "{tokens} tokens");
        }
        // Two halves make one; each rounded for itself would be none.
        let both = TokensUsed {
            input: 1,
            output: 1,
            cached_input: 0,
        };
        assert_eq!(cost(&half, &both), NanoUsd(1));
        let more = price(500_001, 0, 0, 0);
        let one = TokensUsed {
            input: 1,
            ..TokensUsed::default()
        };
        assert_eq!(cost(&more, &one), NanoUsd(1));
    }

    #[test]
    fn each_request_has_its_price_and_cached_input_is_never_more_than_input() {
        let price = price(1_000_000, 0, 0, 42);
        assert_eq!(cost(&price, &TokensUsed::default()), NanoUsd(42));
        let odd = TokensUsed {
            input: 5,
            output: 0,
            cached_input: 9,
        };
        assert_eq!(cost(&price, &odd), NanoUsd(42));
    }

    #[test]
    fn the_largest_usage_at_the_largest_price_is_bounded() {
        let all = TokensUsed {
            input: u64::MAX,
            output: u64::MAX,
            cached_input: 0,
        };
        let max = i64::MAX;
        assert_eq!(cost(&price(max, max, max, max), &all), NanoUsd(max));
        assert_eq!(cost(&price(-max, -max, 0, -max), &all), NanoUsd(i64::MIN));
        assert_eq!(rounded(-500_000), NanoUsd(0));
        assert_eq!(rounded(-1_500_000), NanoUsd(-2));
    }

    #[test]
    fn bytes_cost_by_the_million() {
        let price = ServicePrice {
            request: NanoUsd(500_000),
            megabyte: NanoUsd(2_000_000),
        };
        assert_eq!(cost_of_bytes(&price, 0), NanoUsd(500_000));
        assert_eq!(cost_of_bytes(&price, 1_500_000), NanoUsd(3_500_000));
    }

    #[test]
    fn what_is_affordable_fits_and_one_more_does_not() {
        let price = price(150_000_000, 600_000_000, 0, 1_000);
        let fits = |output| {
            cost(
                &price,
                &TokensUsed {
                    input: 10,
                    output,
                    cached_input: 0,
                },
            )
        };
        for funds in [2_500, 3_099, 3_100, 50_000].map(NanoUsd) {
            let output = affordable_output(&price, 10, funds);
            assert!(fits(output) <= funds, "{output} tokens for {funds:?}");
            assert!(fits(output + 1) > funds, "{output} tokens for {funds:?}");
        }
        assert_eq!(affordable_output(&price, 10, NanoUsd(2_499)), 0);
        let gratis = Price {
            output: NanoUsd(0),
            ..price
        };
        assert_eq!(affordable_output(&gratis, 10, NanoUsd(2_500)), u64::MAX);
    }
}
