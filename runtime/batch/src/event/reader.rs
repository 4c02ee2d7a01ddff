//! Looks at packed events in place.

use super::frame::{EVENT_BYTES, HEADER_BYTES, MAGIC, VERSION};
use super::{Event, Kind};
use crate::Malformed;
use crate::layout::{Cursor, U32, i64_at, preamble, u32_at};

/// Sound packed events, borrowed; nothing here can fail.
#[derive(Debug, Clone, Copy)]
pub struct Events<'a> {
    numbers: &'a [[u8; 8]],
    ids: &'a [[u8; 8]],
    received: &'a [[u8; 8]],
    kinds: &'a [[u8; 1]],
    ends: &'a [U32],
    arena: &'a [u8],
}

impl<'a> Events<'a> {
    /// Checks the bytes as a whole. None at all are no events.
    ///
    /// # Errors
    /// They are not packed events.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self {
                numbers: &[],
                ids: &[],
                received: &[],
                kinds: &[],
                ends: &[],
                arena: &[],
            });
        }
        let mut at = Cursor(bytes);
        let header = at.take(HEADER_BYTES).ok_or(Malformed::CutOff {
            have: bytes.len(),
            need: HEADER_BYTES,
        })?;
        let flags = preamble(header, MAGIC, VERSION)?;
        if flags != 0 {
            return Err(Malformed::Flags { found: flags });
        }
        let fields = header.as_chunks().0;
        let (count, body_len) = (u32_at(fields, 2), u32_at(fields, 3));
        let declared =
            HEADER_BYTES as u64 + u64::from(count) * EVENT_BYTES as u64 + u64::from(body_len);
        let length = Malformed::Length {
            declared,
            actual: bytes.len(),
        };
        if declared != bytes.len() as u64 {
            return Err(length);
        }
        let events = take_columns(&mut at, count as usize).ok_or(length)?;
        events.check()?;
        Ok(events)
    }

    /// How many events.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The events in order.
    pub fn iter(&self) -> EventsIter<'a> {
        EventsIter {
            events: *self,
            next: 0,
        }
    }

    fn check(&self) -> Result<(), Malformed> {
        let (mut last, mut from) = (0, 0);
        let to = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        let columns = self.numbers.iter().zip(self.kinds).zip(self.ends);
        for (event, ((number, kind), end)) in (0u32..).zip(columns) {
            let number = u64::from_le_bytes(*number);
            if number <= last {
                return Err(Malformed::Number { event });
            }
            Kind::try_from(kind[0])?;
            let end = u32::from_le_bytes(*end);
            if end < from || end > to {
                return Err(Malformed::End {
                    record: event,
                    end,
                    from,
                    to,
                });
            }
            (last, from) = (number, end);
        }
        if from != to {
            return Err(Malformed::Unclaimed { bytes: to - from });
        }
        Ok(())
    }

    fn event(&self, i: usize) -> Option<Event<'a>> {
        let start = if i == 0 { 0 } else { u32_at(self.ends, i - 1) };
        Some(Event {
            number: u64::from_le_bytes(*self.numbers.get(i)?),
            kind: Kind::try_from(self.kinds[i][0]).ok()?,
            id: u64::from_le_bytes(self.ids[i]),
            received_ns: i64_at(self.received, i),
            body: &self.arena[start as usize..u32_at(self.ends, i) as usize],
        })
    }
}

fn take_columns<'a>(at: &mut Cursor<'a>, count: usize) -> Option<Events<'a>> {
    Some(Events {
        numbers: at.column(count)?,
        ids: at.column(count)?,
        received: at.column(count)?,
        kinds: at.column(count)?,
        ends: at.column(count)?,
        arena: at.0,
    })
}

impl<'a> IntoIterator for &Events<'a> {
    type Item = Event<'a>;
    type IntoIter = EventsIter<'a>;

    fn into_iter(self) -> EventsIter<'a> {
        self.iter()
    }
}

/// Events, in order.
#[derive(Debug, Clone)]
pub struct EventsIter<'a> {
    events: Events<'a>,
    next: usize,
}

impl<'a> Iterator for EventsIter<'a> {
    type Item = Event<'a>;

    #[inline]
    fn next(&mut self) -> Option<Event<'a>> {
        let event = self.events.event(self.next)?;
        self.next += 1;
        Some(event)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.events.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for EventsIter<'_> {}
