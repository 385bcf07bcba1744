//! Threads for work that blocks, each with connections of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::{Result, StoreError};

pub(super) use crate::engine::Cause;

/// Most jobs that wait for a thread; who asks for more waits itself.
const QUEUED_JOBS: usize = 1_024;

type Job<C> = Box<dyn FnOnce(&mut C) + Send>;

/// A fixed number of threads that take jobs in order. Dropping it ends them after the jobs that wait.
pub(super) struct Pool<C> {
    jobs: Option<mpsc::Sender<Job<C>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<C: Send + 'static> Pool<C> {
    /// One thread for each context.
    pub(super) fn start(name: &str, contexts: Vec<C>) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job<C>>(QUEUED_JOBS);
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |context| {
            let waiting = waiting.clone();
            std::thread::Builder::new().name(name.to_owned()).spawn(move || work(context, &waiting))
        };
        let threads = contexts.into_iter().map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { jobs: Some(jobs), threads })
    }

    /// Runs a job and waits for its result. `tried` says what for, should it fail.
    pub(super) async fn run<T, F>(&self, tried: impl FnOnce() -> String, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut C) -> Result<T, Cause> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job<C> = Box::new(move |context| {
            // Nobody waits any more when the caller was cancelled.
            let _ = reply.send(job(context));
        });
        let sent = match &self.jobs {
            Some(jobs) => jobs.send(job).await.is_ok(),
            None => false,
        };
        let gone = || Cause::from("the engine is shutting down");
        let result = if sent { answer.await.unwrap_or_else(|_| Err(gone())) } else { Err(gone()) };
        result.map_err(|cause| StoreError::new(tried(), cause.to_string()))
    }

    /// Leaves a job to be done; false when too many wait.
    pub(super) fn post(&self, job: impl FnOnce(&mut C) + Send + 'static) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Box::new(job)).is_ok())
    }
}

impl<C> Drop for Pool<C> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work<C>(mut context: C, waiting: &Mutex<mpsc::Receiver<Job<C>>>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match job {
            Some(job) => job(&mut context),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_job_tells_what_was_tried_and_the_pool_goes_on() {
        let pool = Pool::start("test", vec![1, 1]).unwrap();
        let failed = pool.run(|| "count".into(), |_: &mut i32| Err::<(), _>("no".into())).await.unwrap_err();
        assert_eq!(failed.to_string(), "count: no");
        assert_eq!(pool.run(String::new, |c| Ok(*c)).await.unwrap(), 1);
    }

    #[test]
    fn posted_jobs_are_done_before_the_pool_is_gone() {
        let done = Arc::new(Mutex::new(0));
        let pool = Pool::start("test", vec![()]).unwrap();
        for _ in 0..100 {
            let done = done.clone();
            assert!(pool.post(move |()| *done.lock().unwrap() += 1));
        }
        drop(pool);
        assert_eq!(*done.lock().unwrap(), 100);
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let pool = Pool::start("test", vec![()]).unwrap();
        let hold = Arc::new(Mutex::new(()));
        let held = hold.lock().unwrap();
        let job = |hold: &Arc<Mutex<()>>| {
            let hold = hold.clone();
            move |(): &mut ()| drop(hold.lock().unwrap())
        };
        let taken = (0..=QUEUED_JOBS + 1).take_while(|_| pool.post(job(&hold))).count();
        assert!((QUEUED_JOBS..=QUEUED_JOBS + 1).contains(&taken), "{taken}");
        drop(held);
    }
}
