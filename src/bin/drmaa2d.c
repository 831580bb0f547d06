/* The agent as a program: all of it is in the library. See src/daemon.rs. */

int drmaa2d_main(void);

int main(void) { return drmaa2d_main(); }
