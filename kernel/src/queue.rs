//! A bounded queue from any thread into one asynchronous task.
//!
//! It is bounded by the bytes that wait in it, because what waits is a line of text or a picture of megabytes, and
//! its producers may block on any thread, even one that drives another event loop.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// For producers: the consumer took something, or the queue was closed.
    room: Condvar,
    /// For the consumer: something came, or the queue was closed.
    arrived: Notify,
    most: usize,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    weight: usize,
    closed: bool,
}

impl<T> Queue<T> {
    /// An empty queue that holds about `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        let state = State { items: VecDeque::new(), weight: 0, closed: false };
        Self { state: Mutex::new(state), room: Condvar::new(), arrived: Notify::new(), most }
    }

    /// Adds an item of `weight` bytes, as soon as there is room. An item too heavy for the queue waits until it is
    /// alone. After [`close`](Self::close) items are dropped.
    pub(crate) fn push(&self, item: T, weight: usize) {
        let mut state = self.lock();
        while !state.closed && state.weight > 0 && state.weight + weight > self.most {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.add(state, item, weight);
    }

    /// Adds a small item without ever waiting, for those who must not.
    pub(crate) fn push_now(&self, item: T) {
        self.add(self.lock(), item, 0);
    }

    fn add(&self, mut state: MutexGuard<'_, State<T>>, item: T, weight: usize) {
        if state.closed {
            return;
        }
        // Every item takes some room of its own, so that countless empty ones are bounded too.
        let weight = weight + size_of::<T>();
        state.weight += weight;
        state.items.push_back((item, weight));
        drop(state);
        self.arrived.notify_one();
    }

    /// Takes the oldest item; `None` once the queue is closed and empty. For one consumer, which may give up waiting
    /// at any time.
    pub(crate) async fn pop(&self) -> Option<T> {
        loop {
            {
                let mut state = self.lock();
                if let Some((item, weight)) = state.items.pop_front() {
                    state.weight -= weight;
                    drop(state);
                    self.room.notify_all();
                    return Some(item);
                }
                if state.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// Takes out of turn those that are `wanted`; the rest stays in order.
    pub(crate) fn extract(&self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut state = self.lock();
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut state.items).into_iter().partition(|(item, _)| wanted(item));
        state.items = left;
        state.weight -= taken.iter().map(|(_, weight)| weight).sum::<usize>();
        drop(state);
        self.room.notify_all();
        taken.into_iter().map(|(item, _)| item).collect()
    }

    /// Lets no more items in and producers go.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The state is whole between any two statements that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn items_come_in_order_and_none_after_the_end() {
        let queue = Queue::new(1 << 10);
        queue.push(1, 1);
        queue.push_now(2);
        queue.close();
        queue.push(3, 1);
        assert_eq!((queue.pop().await, queue.pop().await, queue.pop().await), (Some(1), Some(2), None));
    }

    #[tokio::test]
    async fn a_full_queue_makes_its_producer_wait() {
        let queue = std::sync::Arc::new(Queue::new(100));
        let producer = std::thread::spawn({
            let queue = queue.clone();
            move || (0..1000).for_each(|i| queue.push(i, 60))
        });
        for i in 0..1000 {
            assert!(queue.lock().items.len() <= 1);
            assert_eq!(queue.pop().await, Some(i));
        }
        assert!(producer.join().is_ok());
    }

    #[tokio::test]
    async fn some_can_be_taken_out_of_turn() {
        let queue = Queue::new(1 << 10);
        (0..5).for_each(|i| queue.push(i, 1));
        assert_eq!(queue.extract(|i| i % 2 == 0), [0, 2, 4]);
        assert_eq!((queue.pop().await, queue.pop().await), (Some(1), Some(3)));
        assert_eq!(queue.lock().weight, 0);
    }
}
