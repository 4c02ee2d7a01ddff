//! The few functions of librdkafka that the rdkafka crate does not wrap: topic ids, a queue of one
//! partition, positions past control records, and a commit that can be gone on with.
//!
//! This is the only file of the crate with `unsafe`. Each pointer that librdkafka gives is owned by
//! one value here, which destroys it once; a queue keeps its client alive, since a queue of a
//! client that was destroyed must not be touched.
#![allow(unsafe_code)]

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A topic as a broker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) id: Uuid,
    pub(crate) partitions: i32,
    /// Copies of the partition that has the fewest.
    pub(crate) replicas: i32,
}

/// Why a call of librdkafka failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) text: String,
    /// The transaction must be aborted.
    pub(crate) requires_abort: bool,
    /// The same call may be made again, and goes on where it was.
    pub(crate) retriable: bool,
    /// The client can't be used any more.
    pub(crate) fatal: bool,
}

/// A native client, lent by whoever owns it.
#[derive(Clone, Copy)]
pub(crate) struct Raw<'a>(*mut sys::rd_kafka_t, PhantomData<&'a ()>);

impl<'a> Raw<'a> {
    pub(crate) fn of<C: rdkafka::ClientContext>(client: &'a rdkafka::client::Client<C>) -> Self {
        Raw(client.native_ptr(), PhantomData)
    }
}

fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

fn text(chars: *const std::os::raw::c_char) -> String {
    if chars.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka's texts end in a zero and live at least as long as this call.
    unsafe { CStr::from_ptr(chars) }
        .to_string_lossy()
        .into_owned()
}

fn code_failure(code: sys::rd_kafka_resp_err_t) -> Failure {
    Failure {
        // SAFETY: any code may be asked for its text.
        text: text(unsafe { sys::rd_kafka_err2str(code) }),
        code: code.into(),
        requires_abort: false,
        retriable: false,
        fatal: false,
    }
}

/// Takes an error object; null is none.
fn taken(error: *mut sys::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is this function's, read before it is destroyed and not used afterwards.
    unsafe {
        let failure = Failure {
            code: sys::rd_kafka_error_code(error).into(),
            text: text(sys::rd_kafka_error_string(error)),
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

/// Commits the transaction. After a failure that is retriable the same call goes on with it. The
/// crate's own function first waits for all messages, and does not notice meanwhile that the
/// transaction has failed.
pub(crate) fn commit_transaction(client: Raw<'_>, timeout: Duration) -> Result<(), Failure> {
    // SAFETY: the client is alive.
    taken(unsafe { sys::rd_kafka_commit_transaction(client.0, millis(timeout)) })
}

/// The name by which the group knows this member; empty when it is in none.
pub(crate) fn member_id(client: Raw<'_>) -> String {
    // SAFETY: the client is alive; the text is ours to free.
    unsafe {
        let chars = sys::rd_kafka_memberid(client.0);
        let id = text(chars);
        if !chars.is_null() {
            sys::rd_kafka_mem_free(client.0, chars.cast());
        }
        id
    }
}

/// Gives a client the token that it says who it is with. For clients whose questions of their own
/// nobody answers, since nobody polls them.
pub(crate) fn set_token(
    client: Raw<'_>,
    token: &CStr,
    principal: &CStr,
    ends_ms: i64,
) -> Result<(), Failure> {
    // SAFETY: the client is alive, and the texts outlive the call, which copies them.
    let code = unsafe {
        sys::rd_kafka_oauthbearer_set_token(
            client.0,
            token.as_ptr(),
            ends_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            0,
        )
    };
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(code_failure(code)),
    }
}

/// Takes a line that a client logged, which nobody polls: its level, what it is about, the text.
pub(crate) fn log_line(client: Raw<'_>) -> Option<(i32, String, String)> {
    // SAFETY: the queue and the event are destroyed here, after the texts were copied.
    unsafe {
        let queue = sys::rd_kafka_queue_get_main(client.0);
        let event = sys::rd_kafka_queue_poll(queue, 0);
        sys::rd_kafka_queue_destroy(queue);
        if event.is_null() {
            return None;
        }
        let (mut fac, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        let is_line = sys::rd_kafka_event_log(event, &mut fac, &mut line, &mut level) == 0;
        let told = if is_line {
            (level, text(fac), text(line))
        } else {
            // Something else, which nobody waits for.
            (7, "EVENT".to_owned(), String::new())
        };
        sys::rd_kafka_event_destroy(event);
        Some(told)
    }
}

/// Where the application stands in a partition: past what it took, past the control records after
/// that, and past the offset of each error that it took. `None` before anything was taken.
pub(crate) fn position(client: Raw<'_>, topic: &CStr, partition: i32) -> Option<i64> {
    // SAFETY: the list is made, used and destroyed here.
    unsafe {
        let list = sys::rd_kafka_topic_partition_list_new(1);
        let at = sys::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition);
        sys::rd_kafka_position(client.0, list);
        let offset = (*at).offset;
        sys::rd_kafka_topic_partition_list_destroy(list);
        (offset >= 0).then_some(offset)
    }
}

/// A partition's beginning and end as the last fetch told them; `None` before the first.
pub(crate) fn known_ends(client: Raw<'_>, topic: &CStr, partition: i32) -> Option<(i64, i64)> {
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is alive, and both numbers outlive the call.
    let code = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            client.0,
            topic.as_ptr(),
            partition,
            &mut low,
            &mut high,
        )
    };
    let told = code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    (told && low >= 0 && high >= 0).then_some((low, high))
}

/// The brokers there are.
pub(crate) fn brokers(client: Raw<'_>, timeout: Duration) -> Result<Vec<i32>, Failure> {
    // SAFETY: the answer is read and destroyed here.
    unsafe {
        let mut metadata = ptr::null();
        let code =
            sys::rd_kafka_metadata(client.0, 0, ptr::null_mut(), &mut metadata, millis(timeout));
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(code_failure(code));
        }
        let count = usize::try_from((*metadata).broker_cnt).unwrap_or(0);
        let brokers = (0..count).map(|i| (*(*metadata).brokers.add(i)).id);
        let brokers = brokers.collect();
        sys::rd_kafka_metadata_destroy(metadata);
        Ok(brokers)
    }
}

/// Describes topics by name, in their order; `None`: there is none of that name. Creates none. Any
/// broker can be asked; librdkafka itself would ask the controller only.
pub(crate) fn describe_topics(
    client: Raw<'_>,
    broker: i32,
    names: &[CString],
    timeout: Duration,
) -> Result<Vec<Option<Described>>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the client is alive and the names outlive the call, which copies them. What is made
    // here is destroyed here, after the last use.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client.0);
        let topics =
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options = sys::rd_kafka_AdminOptions_new(
            client.0,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options,
            millis(timeout),
            ptr::null_mut(),
            0,
        );
        sys::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(client.0, topics, options, queue);
        // librdkafka answers within the request's own timeout.
        let event = sys::rd_kafka_queue_poll(queue, millis(timeout.saturating_mul(2)));
        let described = if event.is_null() {
            Err(code_failure(
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT,
            ))
        } else {
            described(event)
        };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(topics);
        sys::rd_kafka_queue_destroy(queue);
        described
    }
}

/// # Safety
/// The event is alive.
unsafe fn described(event: *mut sys::rd_kafka_event_t) -> Result<Vec<Option<Described>>, Failure> {
    // SAFETY: everything read here belongs to the event.
    unsafe {
        let code = sys::rd_kafka_event_error(event);
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Failure {
                text: text(sys::rd_kafka_event_error_string(event)),
                ..code_failure(code)
            });
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let mut all = Vec::with_capacity(count);
        for i in 0..count {
            let topic = *topics.add(i);
            let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
            match RDKafkaErrorCode::from(code) {
                RDKafkaErrorCode::NoError => {}
                // A name that no topic can have is no topic's.
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::InvalidTopic => {
                    all.push(None);
                    continue;
                }
                _ => return Err(code_failure(code)),
            }
            let id = sys::rd_kafka_TopicDescription_topic_id(topic);
            let id = Uuid::from_u64_pair(
                sys::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned(),
                sys::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned(),
            );
            let mut partitions = 0;
            let each = sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
            let replicas = (0..partitions).map(|i| {
                let mut replicas = 0;
                sys::rd_kafka_TopicPartitionInfo_replicas(*each.add(i), &mut replicas);
                replicas
            });
            let replicas = replicas.min().unwrap_or(0);
            all.push(Some(Described {
                id,
                partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
                replicas: i32::try_from(replicas).unwrap_or(i32::MAX),
            }));
        }
        Ok(all)
    }
}

/// A header's name and value.
pub(crate) type Header<'a> = (&'a str, Option<&'a [u8]>);

/// Why the headers of a message can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHeaders {
    #[error("the name of one of its headers is not UTF-8")]
    Name,
    #[error("its headers can't be parsed: {0}")]
    Unparsed(RDKafkaErrorCode),
}

/// A message that was consumed.
pub(crate) struct Message(*mut sys::rd_kafka_message_t);

// SAFETY: a message belongs to whoever took it from its queue, whatever the thread.
unsafe impl Send for Message {}

impl Message {
    fn raw(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: it is alive until this value is dropped.
        unsafe { &*self.0 }
    }

    /// What it tells instead of a record.
    pub(crate) fn error(&self) -> Option<RDKafkaErrorCode> {
        let code = self.raw().err;
        (code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
    }

    pub(crate) fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// Whether it stands at an offset of a partition, which librdkafka takes for read from now on,
    /// be it an error.
    pub(crate) fn has_place(&self) -> bool {
        !self.raw().rkt.is_null() && self.raw().offset >= 0
    }

    pub(crate) fn partition(&self) -> i32 {
        self.raw().partition
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        // SAFETY: the bytes are the message's.
        unsafe { bytes(self.raw().key, self.raw().key_len) }
    }

    /// The value; for an error its text.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        // SAFETY: the bytes are the message's.
        unsafe { bytes(self.raw().payload, self.raw().len) }
    }

    /// When it was made, as its topic says; `None`: it has no time.
    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let at = unsafe { sys::rd_kafka_message_timestamp(self.0, &mut kind) };
        (at >= 0).then_some(at)
    }

    /// Headers by name, in order.
    ///
    /// The first call makes librdkafka parse them, for which it allocates a buffer even where there
    /// are none: it has no cheaper question. So this is called once a record.
    pub(crate) fn headers(&self) -> Result<Vec<Header<'_>>, BadHeaders> {
        use sys::rd_kafka_resp_err_t as Code;
        let mut all = Vec::new();
        // SAFETY: headers belong to the message, as do their names and values.
        unsafe {
            let mut headers = ptr::null_mut();
            match sys::rd_kafka_message_headers(self.0, &mut headers) {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                Code::RD_KAFKA_RESP_ERR__NOENT => return Ok(all),
                code => return Err(BadHeaders::Unparsed(code.into())),
            }
            let count = sys::rd_kafka_header_cnt(headers);
            all.reserve_exact(count);
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            for i in 0..count {
                if sys::rd_kafka_header_get_all(headers, i, &mut name, &mut value, &mut size)
                    != Code::RD_KAFKA_RESP_ERR_NO_ERROR
                {
                    break;
                }
                let name = CStr::from_ptr(name)
                    .to_str()
                    .map_err(|_| BadHeaders::Name)?;
                all.push((name, bytes(value, size)));
            }
        }
        Ok(all)
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: it was this value's, and is not used again.
        unsafe { sys::rd_kafka_message_destroy(self.0) }
    }
}

/// # Safety
/// `start` is null or points to so many bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: see above.
    Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
}

/// Messages of one consumer, or of one of its partitions.
pub(crate) struct Queue<C: ConsumerContext + 'static> {
    queue: *mut sys::rd_kafka_queue_t,
    /// Called by librdkafka when the queue is no longer empty.
    wake: Option<Box<Wake>>,
    /// Dropped after the queue.
    consumer: Arc<BaseConsumer<C>>,
}

type Wake = Box<dyn Fn() + Send + Sync>;

// SAFETY: librdkafka's queues may be used by any thread.
unsafe impl<C: ConsumerContext + 'static> Send for Queue<C> {}

impl<C: ConsumerContext + 'static> Queue<C> {
    /// Everything that the consumer is assigned.
    pub(crate) fn of_consumer(consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        // SAFETY: the consumer is alive and kept so.
        let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        Self::new(queue, consumer)
    }

    /// What is fetched of one partition from now on, kept apart from everything else; `wake` is
    /// called when there is something after there was nothing.
    pub(crate) fn of_partition(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &CStr,
        partition: i32,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Option<Self> {
        let client = consumer.client().native_ptr();
        // SAFETY: the consumer is alive and kept so; forwarding to nothing keeps messages here.
        let queue = unsafe {
            let queue = sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if !queue.is_null() {
                sys::rd_kafka_queue_forward(queue, ptr::null_mut());
            }
            queue
        };
        let mut queue = Self::new(queue, consumer)?;
        let wake: Box<Wake> = Box::new(Box::new(wake));
        // SAFETY: the closure lives until the callback is taken off again, when this is dropped.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(
                queue.queue,
                Some(woken),
                ptr::from_ref::<Wake>(&wake).cast_mut().cast(),
            );
        }
        queue.wake = Some(wake);
        Some(queue)
    }

    fn new(queue: *mut sys::rd_kafka_queue_t, consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        (!queue.is_null()).then(|| Self {
            queue,
            wake: None,
            consumer: Arc::clone(consumer),
        })
    }

    pub(crate) fn client(&self) -> Raw<'_> {
        Raw::of(self.consumer.client())
    }

    pub(crate) fn consumer(&self) -> &BaseConsumer<C> {
        &self.consumer
    }

    /// Takes as many messages as there is room for, and waits at most so long for the first.
    pub(crate) fn take(&self, room: &mut Room, timeout: Duration, into: &mut impl Extend<Message>) {
        let all = &mut room.0;
        // SAFETY: there is room for so many pointers, of which the first `count` are then written.
        unsafe {
            let count = sys::rd_kafka_consume_batch_queue(
                self.queue,
                millis(timeout),
                all.as_mut_ptr(),
                all.capacity(),
            );
            all.set_len(usize::try_from(count).unwrap_or(0));
        }
        into.extend(all.drain(..).map(Message));
    }
}

/// Where pointers to messages are written while they are taken: lent, so that no taking allocates.
/// Empty in between.
pub(crate) struct Room(Vec<*mut sys::rd_kafka_message_t>);

// SAFETY: it holds no pointer while nobody takes.
unsafe impl Send for Room {}

impl Room {
    /// For so many messages at once.
    pub(crate) fn for_messages(max: usize) -> Self {
        Self(Vec::with_capacity(max))
    }
}

unsafe extern "C" fn woken(_: *mut sys::rd_kafka_t, wake: *mut c_void) {
    // SAFETY: `of_partition` gave this pointer, and takes the callback off before it is freed.
    let wake = unsafe { &*wake.cast::<Wake>() };
    wake();
}

impl<C: ConsumerContext + 'static> Drop for Queue<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is this value's; without a callback its closure can be freed.
        unsafe {
            if self.wake.is_some() {
                sys::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            }
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}
