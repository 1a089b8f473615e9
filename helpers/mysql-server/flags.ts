/**
 * The server flags of every source that starts a server. One list serves MySQL 8.4 and 9.7, MariaDB 10.11 and 11.8:
 * a flag that only some of them know is `--loose-`, so the others skip it. The data is thrown away after the run, so
 * nothing waits for the disk.
 */
export function serverFlags(platform: NodeJS.Platform = process.platform): readonly string[] {
  return [
    // Small and fast to start.
    '--skip-log-bin',
    '--skip-name-resolve',
    '--loose-performance-schema=OFF',
    '--loose-mysqlx=OFF',
    '--innodb-buffer-pool-size=32M',
    '--loose-innodb-redo-log-capacity=16M',
    '--loose-innodb-log-file-size=16M',
    '--innodb-buffer-pool-load-at-startup=OFF',
    '--innodb-buffer-pool-dump-at-shutdown=OFF',
    '--loose-innodb-numa-interleave=OFF',
    // Each thread of InnoDB is waited for in a busy loop at start: fewer of them save a quarter of the boot on 2 cores.
    '--innodb-read-io-threads=1',
    '--innodb-write-io-threads=1',
    '--loose-innodb-purge-threads=1',
    '--loose-innodb-page-cleaners=1',
    '--loose-innodb-parallel-read-threads=1',
    '--loose-innodb-ddl-threads=1',
    '--loose-innodb-log-writer-threads=OFF',
    '--loose-innodb-log-buffer-size=1M',
    // Never waits for the disk.
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-doublewrite=OFF',
    ...(platform === 'win32' ? [] : ['--innodb-flush-method=nosync']),
    // The same behaviour on every server: MySQL's own defaults, said out loud for MariaDB.
    '--character-set-server=utf8mb4',
    '--default-time-zone=+00:00',
    '--transaction-isolation=REPEATABLE-READ',
    '--sql-mode=ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',
    '--loose-innodb-snapshot-isolation=OFF',
    '--innodb-rollback-on-timeout=OFF',
    '--innodb-print-all-deadlocks=OFF',
    '--max-connections=200',
    // What bulk-import promises.
    '--max-allowed-packet=16M',
    // What a module can fill without a limit of its own: tables in memory, of which it could make any number, and one that is large.
    '--loose-disabled-storage-engines=MEMORY,MyISAM',
    '--max-heap-table-size=16M',
    '--tmp-table-size=16M',
    '--loose-temptable-max-ram=64M',
    '--loose-temptable-max-mmap=0',
    // Tables share one file, which has an end.
    '--innodb-file-per-table=OFF',
    '--innodb-data-file-path=ibdata1:12M:autoextend:max:1G',
    '--innodb-temp-data-file-path=ibtmp1:12M:autoextend:max:1G',
    // LOAD DATA LOCAL INFILE: MariaDB's default, and off on MySQL. The file comes from the client, so only from where it may read.
    '--local-infile=ON',
    // Katas cut connections in the middle of a handshake; the server must not lock the host out for it.
    '--max-connect-errors=1000000',
  ];
}
