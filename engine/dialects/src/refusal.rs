//! Decides what a refusal tells its caller, before any dialect words it.
//!
//! Views only: the values stay with whoever refuses, and are written as they are, so a refusal
//! costs no allocation. Which refusal it is, its status and its headers were decided elsewhere.

use std::fmt::Display;

use crate::json::write::Object;

/// One refusal, ready to be written in any dialect.
#[derive(Clone, Copy)]
pub struct RefusalView<'a> {
    /// The HTTP status of the answer; only the problem document repeats it in the body.
    pub status: u16,
    /// The family of the refusal, such as `insufficient_quota`: OpenAI's `error.type`.
    pub kind: &'a str,
    /// The one word a program acts on, such as `balance_exhausted`.
    pub code: &'a str,
    /// A sentence for people. Every fact in it is a field as well.
    pub message: &'a dyn Display,
    /// The member of the request that is to blame, where one is.
    pub param: Option<&'a str>,
    /// The id under which this exchange is logged.
    pub request_id: &'a str,
    /// The bucket that said no, where one did.
    pub quota: Option<QuotaView<'a>>,
}

/// The bucket that said no.
#[derive(Clone, Copy)]
pub struct QuotaView<'a> {
    /// Whose bucket it is: `tenant`, `team`, `key` or `subscription`.
    pub scope: &'a str,
    /// Which one of those, where the caller may know.
    pub scope_id: Option<&'a str>,
    /// What the operator calls the limit.
    pub name: &'a str,
    /// What is counted: `requests`, `tokens`, `usd` or `concurrent`.
    pub unit: &'a str,
    /// How long it counts for: `minute`, `month`, `total`, …
    pub window: &'a str,
    /// Its amounts, or none where the caller may not see them.
    pub amounts: Option<AmountsView<'a>>,
    /// The largest `max_tokens` that would still be admitted, in tokens.
    pub affordable_max_tokens: Option<u64>,
    /// When the window starts again, as text; none where it never does.
    pub resets_at: Option<&'a dyn Display>,
    /// Where more can be bought.
    pub top_up_url: Option<&'a str>,
}

/// What a bucket holds, in its own unit. Written as decimal strings: money has more digits than
/// a JSON number keeps.
#[derive(Clone, Copy)]
pub struct AmountsView<'a> {
    /// The most that may be used in a window.
    pub limit: &'a dyn Display,
    /// What has been posted to it.
    pub used: &'a dyn Display,
    /// What requests in flight have reserved.
    pub held: &'a dyn Display,
    /// What is left for others.
    pub remaining: &'a dyn Display,
    /// What this request needed.
    pub requested: &'a dyn Display,
}

impl QuotaView<'_> {
    /// Writes the `quota` member, which is the same in every dialect. All its fields are always
    /// there, `null` where unknown, so that a program may read them without asking first.
    pub(crate) fn write(&self, error: &mut Object<'_>) {
        error.object("quota", |quota| {
            quota.text("scope", &self.scope);
            quota.text_or_null(
                "scope_id",
                self.scope_id.as_ref().map(|id| id as &dyn Display),
            );
            quota.text("name", &self.name);
            quota.text("unit", &self.unit);
            quota.text("window", &self.window);
            quota.text_or_null("limit", self.amounts.map(|amounts| amounts.limit));
            quota.text_or_null("used", self.amounts.map(|amounts| amounts.used));
            quota.text_or_null("held", self.amounts.map(|amounts| amounts.held));
            quota.text_or_null("remaining", self.amounts.map(|amounts| amounts.remaining));
            quota.text_or_null("requested", self.amounts.map(|amounts| amounts.requested));
            quota.number_or_null("affordable_max_tokens", self.affordable_max_tokens);
            quota.text_or_null("resets_at", self.resets_at);
            quota.text_or_null("top_up_url", self.top_up_url.as_ref().map(|url| url as _));
        });
    }
}
