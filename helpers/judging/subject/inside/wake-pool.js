// Gives the thread pool of this process something to do once a second. Loaded in each subject, and with each test file.
//
// Before 2.41, glibc loses one of many million signals on a condition variable. When it is the one by which libuv wakes a thread
// of its pool, a file is not read, or a key not derived, although all threads of the pool are free, until something else is
// given to the pool: a right module never comes to its end. https://sourceware.org/bugzilla/show_bug.cgi?id=25847
// The same pool written in C lost 1 of 31 million with glibc 2.36, beside thirty busy threads. Of some 400 judgements of
// file-encryption beside such load, one saw an encryption of 4 KB that did not come to its end.
import { fstat } from 'node:fs';

const everyMs = 1000;

setInterval(() => fstat(0, () => undefined), everyMs).unref();
