//! End to end: the real program on real images, a real registry, real package managers; judged by programs that share no
//! code with it. What cannot run here says so and is counted.

mod contents;
mod faithful;
mod interrupted;
mod main_job;
mod modes;
mod repatch;
mod throwaway;
mod world;
