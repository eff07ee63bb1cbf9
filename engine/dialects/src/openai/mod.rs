//! Decides what the OpenAI dialect says: chat completions, completions and embeddings.
//!
//! ```text
//! up     ask        what a request asks for               estimate   what its input may cost
//!        edits      what must change in it for a target
//! down   answer     one answer or chunk, as it passes     usage      what the provider charges
//!        unary      a meter for a whole answer            stream     a meter for a stream of them
//! no     refusal    our refusals and failures             models     the list of models
//! ```
//!
//! It decides neither who answers nor what a token costs. Bytes pass untouched but for the model
//! name and the usage option; nothing is parsed into values and written again.

mod answer;
mod ask;
mod edits;
mod estimate;
mod fault;
mod models;
mod prompts;
pub mod refusal;
#[cfg(test)]
mod samples;
mod stream;
mod unary;
mod usage;

pub use ask::{Ask, read_ask};
pub use edits::{Cap, Edits, PIECES_MAX, Piece, Pieces};
pub use estimate::{NUMBER_TOKENS, PICTURE_TOKENS};
pub use fault::{AskFault, Member};
pub use models::{append_model, append_models};
pub use refusal::append_midstream_failure;
pub use stream::{EVENT_BYTES_MAX, StreamMeter};
pub use unary::UnaryMeter;
pub use usage::Usage;

/// A metered operation of the dialect. Their requests share most members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
}
