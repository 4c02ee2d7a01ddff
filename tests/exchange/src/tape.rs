//! A recording laid out for replay: its trades numbered through all laps, found
//! by id, and rendered as WebSocket frames.

use std::sync::{Arc, OnceLock};

use crate::recording::Recording;
use crate::trade::Trade;
use crate::wire;

/// Added between two laps, so that no time stands still.
const LAP_PAUSE_MS: i64 = 1;

/// How a connection wants its payloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Form {
    /// Wrapped as `{"stream":…,"data":…}`.
    pub(crate) combined: bool,
    /// Times in µs.
    pub(crate) micros: bool,
}

impl Form {
    fn index(self) -> usize {
        usize::from(self.combined) | usize::from(self.micros) << 1
    }
}

/// The recording, `laps` times over. In the first lap every byte is as recorded;
/// in a later one ids and times go on where the lap before ended.
pub(crate) struct Tape {
    recording: Arc<Recording>,
    laps: u64,
    /// A lap's length on the recorder's clock.
    span_ms: i64,
    /// Per symbol, in the order of `Recording::symbols`.
    books: Vec<Book>,
    /// Per trade of the recording: the index of its symbol.
    symbol_of: Vec<u16>,
    rendered: [OnceLock<Rendered>; 4],
}

/// The trades of one symbol, rising by id.
struct Book {
    /// Indexes into the recording.
    trades: Vec<u32>,
    /// Ids that a lap takes up.
    id_span: i64,
}

/// The frames of a lap, back to back, with the places of what changes by lap.
struct Rendered {
    bytes: Vec<u8>,
    frames: Vec<FrameAt>,
}

#[derive(Clone, Copy)]
struct FrameAt {
    start: u32,
    end: u32,
    /// Offsets of the digits of E, t and T from the start of the frame.
    event_time: u16,
    trade_id: u16,
    trade_time: u16,
}

impl Tape {
    pub(crate) fn new(recording: Arc<Recording>, laps: u32) -> Tape {
        let trades = recording.trades();
        let symbols = recording.symbols();
        let mut books: Vec<Book> = symbols
            .iter()
            .map(|_| Book {
                trades: Vec::new(),
                id_span: 1,
            })
            .collect();
        let mut symbol_of = Vec::with_capacity(trades.len());
        for (index, trade) in (0_u32..).zip(trades) {
            let symbol = symbols
                .iter()
                .position(|s| *s == trade.symbol)
                .expect("the recording lists the symbol of each of its trades");
            symbol_of.push(u16::try_from(symbol).expect("fewer than 65,536 symbols"));
            books[symbol].trades.push(index);
        }
        for book in &mut books {
            book.trades.sort_by_key(|i| trades[*i as usize].trade_id);
            if let (Some(first), Some(last)) = (book.trades.first(), book.trades.last()) {
                book.id_span =
                    trades[*last as usize].trade_id - trades[*first as usize].trade_id + 1;
            }
        }
        let first = trades.first().map_or(0, |t| t.received_ns);
        let last = trades.last().map_or(0, |t| t.received_ns);
        Tape {
            laps: u64::from(laps.max(1)),
            span_ms: (last - first) / 1_000_000 + LAP_PAUSE_MS,
            books,
            symbol_of,
            rendered: Default::default(),
            recording,
        }
    }

    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    fn lap_len(&self) -> u64 {
        self.recording.trades().len() as u64
    }

    /// Trades in all laps.
    pub(crate) fn total(&self) -> u64 {
        self.lap_len() * self.laps
    }

    /// When trade `number` was received, counted from the first, ns.
    pub(crate) fn offset_ns(&self, number: u64) -> i64 {
        let (lap, index) = self.split(number);
        let trades = self.recording.trades();
        lap * self.span_ms * 1_000_000 + trades[index].received_ns - trades[0].received_ns
    }

    fn split(&self, number: u64) -> (i64, usize) {
        let lap = i64::try_from(number / self.lap_len()).expect("laps come from a u32");
        let index = usize::try_from(number % self.lap_len()).expect("an index into memory");
        (lap, index)
    }

    pub(crate) fn symbol_of(&self, number: u64) -> usize {
        usize::from(self.symbol_of[self.split(number).1])
    }

    /// The trade, its id and times moved on by the laps before.
    pub(crate) fn trade(&self, number: u64) -> Trade {
        let (lap, index) = self.split(number);
        let mut trade = self.recording.trades()[index].clone();
        trade.trade_id += lap * self.books[usize::from(self.symbol_of[index])].id_span;
        trade.trade_time_ms += lap * self.span_ms;
        trade.event_time_ms += lap * self.span_ms;
        trade.received_ns += lap * self.span_ms * 1_000_000;
        trade
    }

    /// How many trades of a symbol come before `position`.
    pub(crate) fn count_before(&self, symbol: usize, position: u64) -> u64 {
        let position = position.min(self.total());
        let book = &self.books[symbol];
        let full = position / self.lap_len();
        let rest = position % self.lap_len();
        let in_lap = book.trades.partition_point(|i| u64::from(*i) < rest);
        full * book.trades.len() as u64 + in_lap as u64
    }

    /// The `nth` trade of a symbol in the order of ids, as a number in the tape.
    pub(crate) fn nth(&self, symbol: usize, nth: u64) -> u64 {
        let book = &self.books[symbol];
        let len = book.trades.len() as u64;
        let index = usize::try_from(nth % len).expect("an index into memory");
        nth / len * self.lap_len() + u64::from(book.trades[index])
    }

    /// How many trades of a symbol have an id below `id`.
    pub(crate) fn count_below_id(&self, symbol: usize, id: i64) -> u64 {
        let book = &self.books[symbol];
        let trades = self.recording.trades();
        let Some(first) = book.trades.first() else {
            return 0;
        };
        let offset = id - trades[*first as usize].trade_id;
        let Ok(lap) = u64::try_from(offset.div_euclid(book.id_span)) else {
            return 0;
        };
        let in_lap_id = id - i64::try_from(lap).unwrap_or(i64::MAX) * book.id_span;
        let in_lap = book
            .trades
            .partition_point(|i| trades[*i as usize].trade_id < in_lap_id);
        (lap * book.trades.len() as u64 + in_lap as u64).min(book.trades.len() as u64 * self.laps)
    }

    /// Appends the frame of trade `number` to `out`.
    pub(crate) fn frame(&self, number: u64, form: Form, out: &mut Vec<u8>) {
        let rendered = self.rendered[form.index()].get_or_init(|| self.render(form));
        let (lap, index) = self.split(number);
        let at = rendered.frames[index];
        let start = out.len();
        out.extend_from_slice(&rendered.bytes[at.start as usize..at.end as usize]);
        if lap == 0 {
            return;
        }
        let trade = self.trade(number);
        let unit = if form.micros { 1000 } else { 1 };
        for (offset, value) in [
            (at.event_time, trade.event_time_ms * unit),
            (at.trade_id, trade.trade_id),
            (at.trade_time, trade.trade_time_ms * unit),
        ] {
            overwrite_digits(&mut out[start + usize::from(offset)..], value);
        }
    }

    fn render(&self, form: Form) -> Rendered {
        let mut bytes = Vec::new();
        let mut frames = Vec::new();
        for index in 0..self.recording.trades().len() {
            let text = payload(self.recording.frame(index), form);
            let start = bytes.len();
            wire::put_text(&text, &mut bytes);
            let header = bytes.len() - start - text.len();
            let place = |key: &str| {
                let at = text.find(key).expect("a recorded trade has E, t and T");
                u16::try_from(header + at + key.len()).expect("a trade's frame is short")
            };
            frames.push(FrameAt {
                start: u32::try_from(start).expect("a rendered lap is below 4 GiB"),
                end: u32::try_from(bytes.len()).expect("a rendered lap is below 4 GiB"),
                event_time: place("\"E\":"),
                trade_id: place("\"t\":"),
                trade_time: place("\"T\":"),
            });
        }
        Rendered { bytes, frames }
    }
}

/// The recorded text in the form asked for.
fn payload(recorded: &str, form: Form) -> String {
    let text = if form.combined {
        recorded
    } else {
        let start = recorded.find("\"data\":").map_or(0, |at| at + 7);
        &recorded[start..recorded.len() - 1]
    };
    if !form.micros {
        return text.to_owned();
    }
    // The recording knows milliseconds only: the microseconds below are zero.
    let mut text = text.to_owned();
    for key in ["\"E\":", "\"T\":"] {
        if let Some(at) = text.find(key) {
            let from = at + key.len();
            let digits = text[from..].bytes().take_while(u8::is_ascii_digit).count();
            text.insert_str(from + digits, "000");
        }
    }
    text
}

/// Writes `value` over the digits that stand there. A number that has grown by a
/// digit would move all behind it; a lap adds too little for that.
fn overwrite_digits(place: &mut [u8], mut value: i64) {
    let digits = place.iter().take_while(|b| b.is_ascii_digit()).count();
    for slot in place[..digits].iter_mut().rev() {
        *slot = b'0' + u8::try_from(value % 10).expect("a digit");
        value /= 10;
    }
    assert_eq!(value, 0, "too many laps: a number has outgrown its digits");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(laps: u32) -> Tape {
        Tape::new(Arc::new(Recording::spot().unwrap().first(1000)), laps)
    }

    #[test]
    fn the_first_lap_is_as_recorded_and_the_next_goes_on() {
        let tape = tape(3);
        let form = Form {
            combined: true,
            micros: false,
        };
        let mut out = Vec::new();
        tape.frame(7, form, &mut out);
        assert!(out.ends_with(tape.recording().frame(7).as_bytes()));
        let mut last = [None; 2];
        for number in 0..tape.total() {
            let trade = tape.trade(number);
            let symbol = tape.symbol_of(number);
            if let Some(last) = last[symbol] {
                assert_eq!(trade.trade_id, last + 1);
            }
            last[symbol] = Some(trade.trade_id);
            out.clear();
            tape.frame(number, form, &mut out);
            let text = String::from_utf8(out[4..].to_vec()).unwrap();
            assert!(
                text.contains(&format!("\"t\":{},", trade.trade_id)),
                "{text}"
            );
            assert!(text.contains(&format!("\"E\":{},", trade.event_time_ms)));
        }
    }

    #[test]
    fn trades_are_found_by_id_and_by_position() {
        let tape = tape(2);
        for number in (0..tape.total()).step_by(37) {
            let trade = tape.trade(number);
            let symbol = tape.symbol_of(number);
            let nth = tape.count_below_id(symbol, trade.trade_id);
            assert_eq!(tape.nth(symbol, nth), number);
            assert_eq!(tape.count_before(symbol, number), nth);
        }
        assert_eq!(tape.count_below_id(0, 0), 0);
        assert_eq!(
            tape.count_below_id(0, i64::MAX / 2),
            tape.count_before(0, u64::MAX)
        );
    }

    #[test]
    fn micros_and_raw_change_only_what_they_say() {
        let recorded = r#"{"stream":"x@trade","data":{"E":12,"t":5,"T":34,"m":true}}"#;
        let raw = Form {
            combined: false,
            micros: true,
        };
        assert_eq!(
            payload(recorded, raw),
            r#"{"E":12000,"t":5,"T":34000,"m":true}"#
        );
    }
}
