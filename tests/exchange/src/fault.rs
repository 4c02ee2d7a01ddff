//! What can go wrong at an exchange, and when it does.

use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One thing that goes wrong.
///
/// As text: `drop`, `close:CODE`, `half-open`, `silence[:SYMBOL[:MS]]`,
/// `shutdown:LEAD_MS`, `duplicate:N`, `skip:N`, `reorder:N`, `late:MS`,
/// `refuse:MS`, `rate-limited:REQUESTS:RETRY_S`, `banned:RETRY_S`,
/// `server-error:REQUESTS:STATUS`, `slow:REQUESTS:MS`, `hole:SYMBOL:FROM:TO`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Connections are reset, without a close frame; what was on the way is lost.
    Drop,
    /// Connections are closed with this code.
    Close(u16),
    /// Connections stay open, but nothing is sent, read or ponged any more.
    HalfOpen,
    /// Trades of one symbol, or of all, are no longer sent, while pings go on.
    Silence {
        /// None: of all symbols.
        symbol: Option<String>,
        /// None: until the client connects again.
        for_ms: Option<u64>,
    },
    /// The `serverShutdown` event, and a while later the connections are closed.
    Shutdown {
        /// From the event to the closing.
        lead_ms: u64,
    },
    /// The last trades are sent once more.
    Duplicate(u64),
    /// The next trades are not sent; REST has them.
    Skip(u64),
    /// The next trades are sent in a shuffled order.
    Reorder(u64),
    /// Trades are held back for so long, then all are sent.
    Late(u64),
    /// New connections are answered 503 for so long, from the first try on.
    Refuse(u64),
    /// The next requests are answered 429.
    RateLimited {
        /// How many of them.
        requests: u32,
        /// What `Retry-After` says, s.
        retry_after_s: u64,
    },
    /// From the next request on, all are answered 418 until the ban is over.
    Banned {
        /// How long the ban lasts, s.
        retry_after_s: u64,
    },
    /// The next requests are answered with a 5xx.
    ServerError {
        /// How many of them.
        requests: u32,
        /// The status to answer with.
        status: u16,
    },
    /// The next requests are answered late.
    Slow {
        /// How many of them.
        requests: u32,
        /// How much later.
        ms: u64,
    },
    /// These trades are nowhere to be had: neither sent nor known to REST.
    Hole {
        /// Upper case.
        symbol: String,
        /// First id of the hole.
        from_id: i64,
        /// Last id of the hole.
        to_id: i64,
    },
}

/// When a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// At once.
    Now,
    /// Before the trade with this number in the recording, counted from 0. REST
    /// faults: for requests after it.
    Trade(u64),
}

/// A fault and its moment; as text `fault@NUMBER` or `fault@now`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scheduled {
    /// What happens.
    pub fault: Fault,
    /// When it happens. A hole is there from the beginning.
    pub when: When,
}

impl Fault {
    /// This fault before trade `number`.
    #[must_use]
    pub fn at(self, number: u64) -> Scheduled {
        Scheduled {
            fault: self,
            when: When::Trade(number),
        }
    }

    /// This fault at once.
    #[must_use]
    pub fn now(self) -> Scheduled {
        Scheduled {
            fault: self,
            when: When::Now,
        }
    }
}

/// Faults of every kind that passes by itself, at random moments of a recording
/// of `total` trades; the same for the same seed.
#[must_use]
pub fn storm(seed: u64, total: u64, count: usize) -> Vec<Scheduled> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut storm: Vec<Scheduled> = (0..count)
        .map(|_| {
            let fault = match random.random_range(0..10) {
                0 | 1 => Fault::Drop,
                2 => Fault::Close([1001, 1008, 1011, 1012][random.random_range(0..4)]),
                3 => Fault::Shutdown {
                    lead_ms: random.random_range(0..200),
                },
                4 => Fault::Duplicate(random.random_range(1..200)),
                5 => Fault::Skip(random.random_range(1..200)),
                6 => Fault::Reorder(random.random_range(2..50)),
                7 => Fault::Late(random.random_range(1..300)),
                8 => Fault::RateLimited {
                    requests: 1,
                    retry_after_s: 1,
                },
                _ => Fault::ServerError {
                    requests: random.random_range(1..3),
                    status: [500, 502, 503, 504][random.random_range(0..4)],
                },
            };
            fault.at(random.random_range(0..total.max(1)))
        })
        .collect();
    storm.sort_by_key(|scheduled| match scheduled.when {
        When::Now => 0,
        When::Trade(number) => number,
    });
    storm
}

/// The text is no fault.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no fault: {reason}")]
pub struct NotAFault {
    text: String,
    reason: String,
}

/// Reads a list, separated by commas or white space. `storm:N` stands for `N`
/// random ones.
///
/// # Errors
/// Names the first entry that is no fault.
pub fn read_list(text: &str, seed: u64, total: u64) -> Result<Vec<Scheduled>, NotAFault> {
    let mut list = Vec::new();
    for entry in text.split(|c: char| c == ',' || c.is_whitespace()) {
        if entry.is_empty() {
            continue;
        }
        if let Some(count) = entry.strip_prefix("storm:") {
            let count = count.parse().map_err(|_| NotAFault {
                text: entry.to_owned(),
                reason: "storm:N wants a number".to_owned(),
            })?;
            list.extend(storm(seed, total, count));
        } else {
            list.push(entry.parse()?);
        }
    }
    Ok(list)
}

impl FromStr for Scheduled {
    type Err = NotAFault;
    fn from_str(text: &str) -> Result<Scheduled, NotAFault> {
        let wrong = |reason: String| NotAFault {
            text: text.to_owned(),
            reason,
        };
        let (fault, when) = text.split_once('@').unwrap_or((text, "now"));
        let when = match when {
            "now" => When::Now,
            number => When::Trade(
                number
                    .parse()
                    .map_err(|_| wrong("after @ comes a trade's number or `now`".into()))?,
            ),
        };
        let mut words = fault.split(':');
        let kind = words.next().unwrap_or_default();
        let args: Vec<&str> = words.collect();
        let fault = fault_of(kind, &args).map_err(wrong)?;
        Ok(Scheduled { fault, when })
    }
}

fn fault_of(kind: &str, args: &[&str]) -> Result<Fault, String> {
    fn number<T: FromStr>(args: &[&str], index: usize, name: &str) -> Result<T, String> {
        args.get(index)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("it wants {name}, a number, as argument {}", index + 1))
    }
    Ok(match kind {
        "drop" => Fault::Drop,
        "close" => Fault::Close(number(args, 0, "CODE")?),
        "half-open" => Fault::HalfOpen,
        "silence" => Fault::Silence {
            symbol: args
                .first()
                .filter(|symbol| !symbol.is_empty())
                .map(|symbol| symbol.to_uppercase()),
            for_ms: match args.get(1) {
                Some(_) => Some(number(args, 1, "MS")?),
                None => None,
            },
        },
        "shutdown" => Fault::Shutdown {
            lead_ms: number(args, 0, "LEAD_MS")?,
        },
        "duplicate" => Fault::Duplicate(number(args, 0, "N")?),
        "skip" => Fault::Skip(number(args, 0, "N")?),
        "reorder" => Fault::Reorder(number(args, 0, "N")?),
        "late" => Fault::Late(number(args, 0, "MS")?),
        "refuse" => Fault::Refuse(number(args, 0, "MS")?),
        "rate-limited" => Fault::RateLimited {
            requests: number(args, 0, "REQUESTS")?,
            retry_after_s: number(args, 1, "RETRY_S")?,
        },
        "banned" => Fault::Banned {
            retry_after_s: number(args, 0, "RETRY_S")?,
        },
        "server-error" => Fault::ServerError {
            requests: number(args, 0, "REQUESTS")?,
            status: number(args, 1, "STATUS")?,
        },
        "slow" => Fault::Slow {
            requests: number(args, 0, "REQUESTS")?,
            ms: number(args, 1, "MS")?,
        },
        "hole" => Fault::Hole {
            symbol: args
                .first()
                .map(|symbol| symbol.to_uppercase())
                .ok_or("it wants SYMBOL as argument 1")?,
            from_id: number(args, 1, "FROM")?,
            to_id: number(args, 2, "TO")?,
        },
        _ => {
            return Err(
                "the kinds are drop, close, half-open, silence, shutdown, duplicate, \
                        skip, reorder, late, refuse, rate-limited, banned, server-error, slow, \
                        hole and storm"
                    .into(),
            );
        }
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Drop => write!(f, "drop"),
            Fault::Close(code) => write!(f, "close:{code}"),
            Fault::HalfOpen => write!(f, "half-open"),
            Fault::Silence { symbol, for_ms } => {
                write!(f, "silence:{}", symbol.as_deref().unwrap_or(""))?;
                for_ms.map_or(Ok(()), |ms| write!(f, ":{ms}"))
            }
            Fault::Shutdown { lead_ms } => write!(f, "shutdown:{lead_ms}"),
            Fault::Duplicate(count) => write!(f, "duplicate:{count}"),
            Fault::Skip(count) => write!(f, "skip:{count}"),
            Fault::Reorder(count) => write!(f, "reorder:{count}"),
            Fault::Late(ms) => write!(f, "late:{ms}"),
            Fault::Refuse(ms) => write!(f, "refuse:{ms}"),
            Fault::RateLimited {
                requests,
                retry_after_s,
            } => write!(f, "rate-limited:{requests}:{retry_after_s}"),
            Fault::Banned { retry_after_s } => write!(f, "banned:{retry_after_s}"),
            Fault::ServerError { requests, status } => {
                write!(f, "server-error:{requests}:{status}")
            }
            Fault::Slow { requests, ms } => write!(f, "slow:{requests}:{ms}"),
            Fault::Hole {
                symbol,
                from_id,
                to_id,
            } => write!(f, "hole:{symbol}:{from_id}:{to_id}"),
        }
    }
}

impl fmt::Display for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Now => write!(f, "{}@now", self.fault),
            When::Trade(number) => write!(f, "{}@{number}", self.fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_survive_their_text() {
        let list = "drop@5, close:1008@6 half-open@7 silence@8 silence:BTCUSDT@9 \
                    silence::500@10 shutdown:100@11 duplicate:3@12 skip:4@13 reorder:5@14 \
                    late:100@15 refuse:200@16 rate-limited:2:1@17 banned:3@18 \
                    server-error:1:503@19 slow:1:200@20 hole:BTCUSDT:1:9 drop@now";
        let read = read_list(list, 1, 100).unwrap();
        assert_eq!(read.len(), 18);
        for scheduled in &read {
            let again: Scheduled = scheduled.to_string().parse().unwrap();
            assert_eq!(again, *scheduled);
        }
        for wrong in ["dorp", "close", "close:x@3", "drop@soon", "hole:BTCUSDT:1"] {
            assert!(read_list(wrong, 1, 100).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_storm_follows_its_seed() {
        let storm_of = |seed| read_list("storm:40", seed, 1000).unwrap();
        assert_eq!(storm_of(7), storm_of(7));
        assert_ne!(storm_of(7), storm_of(8));
        assert_eq!(storm_of(7).len(), 40);
    }
}
