//! What one case of the wire test is: what each side sends, and which outcomes are right.
//!
//! Cases are values. Most come in groups that share a section, a frame and an outcome and
//! differ in a few bytes; the rest are scripts of two sides. Who plays and who judges them is
//! decided elsewhere.
//!
//! In every table `/case` stands for the path of the case itself, which has the same length.

/// What a client sends last: shows that both sides still agree where a request begins, and
/// ends the connection, so that every case ends by itself.
pub const NEXT: &[u8] = b"GET /case/next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What the upstream answers unless a case has it say something else.
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Some bytes, or a byte or line so many times that it would not fit a page.
#[derive(Clone, Copy, Debug)]
pub enum Piece {
    /// These.
    Is(&'static [u8]),
    /// These, so many times.
    Times(usize, &'static [u8]),
}

/// What a client does, in order; at its end it reads until the connection does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Sends bytes. That the other side has closed is no failure: it may have answered.
    Send(&'static [u8]),
    /// Sends what is written in short.
    SendLong(&'static [Piece]),
    /// Sends bytes one at a time, each in a segment of its own.
    Drip(&'static [u8]),
    /// Sends a byte of these again and again until something is answered.
    DripUntilAnswered(&'static [u8]),
    /// Reads a whole final answer.
    ReadAnswer,
    /// Reads until these bytes have come.
    ReadUntil(&'static [u8]),
    /// Waits until the upstream tells.
    AwaitUpstream,
    /// Lets the upstream go on.
    Release,
    /// Says that nothing more will be sent; answers are still read.
    FinishSending,
    /// Ends the connection as a crashing client does, and reads no more.
    Vanish,
}

/// What the upstream does on the first connection of a case, in order; after that, and on
/// every other connection, it answers each request with [`OK`].
#[derive(Clone, Copy, Debug)]
pub enum Play {
    /// Reads one whole request.
    Take,
    /// Reads the head of a request.
    TakeHead,
    /// Reads so many bytes of a body.
    TakeBody(usize),
    /// Sends bytes.
    Send(&'static [u8]),
    /// Sends what is written in short.
    SendLong(&'static [Piece]),
    /// Waits until the client releases it.
    AwaitRelease,
    /// Lets the client go on.
    Tell,
    /// Ends the connection in order, then lets the client go on.
    CloseAndTell,
    /// Waits for the proxy to end the connection, and notes whether it did in time.
    AwaitHangUp,
    /// Ends the connection in order.
    Close,
    /// Ends it with a reset.
    Reset,
}

/// Something that must be true of what both sides saw.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// The statuses of the final answers.
    Statuses(&'static [u16]),
    /// The status of the first final answer.
    Status(&'static [u16]),
    /// The statuses of all interim answers.
    Interims(&'static [u16]),
    /// Beyond the first answer, at most the one to [`NEXT`], and that one as it should be.
    NothingElse,
    /// The connection ended without an answer.
    NoAnswer,
    /// The last answer has begun and is visibly not whole.
    Cut,
    /// The first answer's body.
    Body(&'static [u8]),
    /// The length of the first answer's body.
    BodyBytes(usize),
    /// A field of the first answer: exactly these values in this order.
    Has(&'static str, &'static [&'static [u8]]),
    /// A field that the first answer has not.
    Lacks(&'static str),
    /// A field that the first answer has, whatever it says.
    Some(&'static str),
    /// Bytes that came to the client nowhere, in any case of letters.
    Never(&'static [u8]),
    /// Bytes that came to the client somewhere.
    Somewhere(&'static [u8]),
    /// Not one byte reached the upstream.
    Untouched,
    /// No request reached the upstream whole.
    NothingWhole,
    /// So many whole requests reached the upstream.
    Calls(usize),
    /// One whole request of this method reached the upstream.
    Once(&'static str),
    /// At most so many whole requests reached the upstream.
    CallsMax(usize),
    /// The first line of the first request.
    Line(&'static str),
    /// The body of the first request.
    Sent(&'static [u8]),
    /// The length of the body of the first request.
    SentBytes(usize),
    /// A field of the first request: exactly these values in this order.
    Passes(&'static str, &'static [&'static [u8]]),
    /// A field that the first request has not.
    Drops(&'static str),
    /// A field that the first request has, whatever it says.
    Adds(&'static str),
    /// Bytes that reached the upstream nowhere, in any case of letters.
    Hides(&'static [u8]),
    /// Bytes that reached the upstream somewhere.
    Reaches(&'static [u8]),
    /// All requests came on one connection.
    Reused,
    /// No connection carried a request after the first one it was asked.
    NotReused,
    /// One of these.
    OneOf(&'static [Check]),
    /// The upstream was told in time that nobody waits any more.
    ToldInTime,
}

/// What is right for a case to end with.
#[derive(Clone, Copy, Debug)]
pub enum Allowed {
    /// One answer with one of these statuses and `Connection: close`, the end of the
    /// connection, and not a byte to the upstream.
    Refused(&'static [u16]),
    /// The same where the fault may come after the head has gone on: nothing whole to the
    /// upstream.
    RefusedInBody(&'static [u16]),
    /// An answer of the proxy's own with one of these statuses; the upstream saw nothing of
    /// the request, and the connection may go on.
    Declined(&'static [u16]),
    /// Passed on, answered, and so was [`NEXT`]; besides, these.
    Accepted(&'static [Check]),
    /// Refused with one of these, or accepted with these checks.
    Either(&'static [u16], &'static [Check]),
    /// The upstream's answer with this status, and the connection in step after it.
    Passed(u16, &'static [Check]),
    /// 502, or passed with status 200 and these checks.
    DoubtfulOr(&'static [Check]),
    /// 502, and the upstream's connection used no more.
    BadGateway,
    /// The client can tell that the answer is not whole: it is cut, or a 502.
    CutVisibly,
    /// All of these.
    All(&'static [Check]),
}

/// Cases that share their section, the frame of what is sent and the outcome.
#[derive(Clone, Copy, Debug)]
pub enum Group {
    /// The client sends `before`, the row and `after`, then [`NEXT`] in the same write.
    Requests {
        rfc: &'static str,
        before: &'static [u8],
        after: &'static [u8],
        allowed: Allowed,
        rows: &'static [(&'static str, &'static [u8])],
    },
    /// The upstream answers a request with `before`, the row and `after`, then ends as said;
    /// the client sends [`NEXT`] when it has read the answer.
    Answers {
        rfc: &'static str,
        asked: &'static [u8],
        before: &'static [u8],
        after: &'static [u8],
        ends: Ends,
        allowed: Allowed,
        rows: &'static [(&'static str, &'static [u8])],
    },
    /// Scripts.
    Scripts(&'static [Script]),
}

/// What the upstream does after the bytes of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    /// Waits for the next request.
    Open,
    /// Closes.
    Closed,
    /// Resets.
    Reset,
}

/// A case told by both sides.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// A sentence that says what is special.
    pub name: &'static str,
    /// Where the rule stands.
    pub rfc: &'static str,
    /// What the client does.
    pub client: &'static [Act],
    /// What the upstream does.
    pub upstream: &'static [Play],
    /// What is right.
    pub allowed: Allowed,
}

/// One case, ready to be played.
#[derive(Clone, Debug)]
pub struct Case {
    /// A sentence that says what is special; unique in its topic.
    pub name: &'static str,
    /// Where the rule stands.
    pub rfc: &'static str,
    /// What the client does.
    pub client: Vec<Step>,
    /// What the upstream does.
    pub upstream: Vec<Move>,
    /// What is right.
    pub allowed: Allowed,
}

/// An act, or bytes that were put together.
#[derive(Clone, Debug)]
pub enum Step {
    /// As written.
    Act(Act),
    /// Sends bytes.
    Send(Vec<u8>),
}

/// A play, or bytes that were put together.
#[derive(Clone, Debug)]
pub enum Move {
    /// As written.
    Play(Play),
    /// Sends bytes.
    Send(Vec<u8>),
}

impl Group {
    /// Its cases.
    pub fn cases(&self) -> Vec<Case> {
        match *self {
            Self::Requests {
                rfc,
                before,
                after,
                allowed,
                rows,
            } => {
                let case = |&(name, row): &(&'static str, &'static [u8])| Case {
                    name,
                    rfc,
                    client: vec![Step::Send([before, row, after, NEXT].concat())],
                    upstream: Vec::new(),
                    allowed,
                };
                rows.iter().map(case).collect()
            }
            Self::Answers {
                rfc,
                asked,
                before,
                after,
                ends,
                allowed,
                rows,
            } => {
                let case = |&(name, row): &(&'static str, &'static [u8])| Case {
                    name,
                    rfc,
                    client: vec![
                        Step::Act(Act::Send(asked)),
                        Step::Act(Act::ReadAnswer),
                        Step::Act(Act::Send(NEXT)),
                    ],
                    upstream: answering([before, row, after].concat(), ends),
                    allowed,
                };
                rows.iter().map(case).collect()
            }
            Self::Scripts(scripts) => scripts.iter().map(Script::case).collect(),
        }
    }
}

impl Script {
    fn case(&self) -> Case {
        Case {
            name: self.name,
            rfc: self.rfc,
            client: self.client.iter().copied().map(Step::Act).collect(),
            upstream: self.upstream.iter().copied().map(Move::Play).collect(),
            allowed: self.allowed,
        }
    }
}

fn answering(answer: Vec<u8>, ends: Ends) -> Vec<Move> {
    let mut moves = vec![Move::Play(Play::Take), Move::Send(answer)];
    match ends {
        Ends::Open => {}
        Ends::Closed => moves.push(Move::Play(Play::Close)),
        Ends::Reset => moves.push(Move::Play(Play::Reset)),
    }
    moves
}

/// The bytes of what was written in short.
pub fn spelled_out(pieces: &[Piece]) -> Vec<u8> {
    let spell = |piece: &Piece| match *piece {
        Piece::Is(bytes) => bytes.to_vec(),
        Piece::Times(count, bytes) => bytes.repeat(count),
    };
    pieces.iter().flat_map(spell).collect()
}
