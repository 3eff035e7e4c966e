//! End to end: the real program on real images, a real registry, real package managers; judged by programs that share no
//! code with it. What cannot run here says so and is counted.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // clippy knows only functions marked as tests to be tests

mod apk;
mod apk_distroless;
mod archives;
mod azure_distroless;
mod chiseled;
mod contents;
mod damaged_cache;
mod distroless;
mod docker;
mod emulated;
mod end_of_life;
mod endpoints;
mod faithful;
mod formats;
mod generate;
mod hermetic;
mod hostile_images;
mod inspect;
mod interrupted;
mod lineage;
mod main_job;
mod matrix;
mod modes;
mod outcomes;
mod pacman;
mod platforms;
mod policy;
mod repatch;
mod repositories;
mod rpm;
mod scripts;
mod states;
mod strange_changes;
mod throwaway;
mod within;
mod world;
