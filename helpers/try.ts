import { TestDatabase } from './mysql/test-database.ts';
import { startModule } from './subject/subject.ts';
import { explore } from './mysql/schedule-explorer.ts';
import type * as Kata from '../katas/race-condition/race-condition.ts';
await using db = await TestDatabase.create({ host: '127.0.0.1', port: Number(process.env.PORT ?? 33999), user: 'root', password: 'pw' }, 'race-condition');
const file = process.argv[2]!;
await using pa = await db.proxy('A'); await using pb = await db.proxy('B');
const open = async (proxy: typeof pa) => { const s = await startModule<typeof Kata, { counter: Kata.Counter }>(file, { needs: ['mysql'] });
 await s.evaluate((kata, o, kept) => { kept.counter = kata.createCounter(o); }, db.accountOptions(proxy)); return s; };
await using a = await open(pa); await using b = await open(pb);
await db.admin.query("INSERT INTO counters VALUES ('a', 100), ('warm',0)");
const inc = (s: typeof a, id = 'a') => s.evaluate((_k, id: string, kept) => kept.counter.increment(id), id);
await inc(a,'warm'); await inc(b,'warm');
for (let i=0;i<2;i++){
const t0 = performance.now();
for await (const s of explore({ first: { proxy: pa, subject: a, call: () => inc(a) }, others: { proxy: pb, subject: b, call: () => inc(b) }, admin: db.admin, reset: async () => { await db.admin.query("UPDATE counters SET value=100 WHERE id='a'"); } })) {
  const [[row]] = await db.admin.query<any>("SELECT value FROM counters WHERE id='a'");
  console.log(s.step, s.standstill, s.first, s.others, row.value); if(i==0) console.log(s.timeline);
}
console.log(performance.now() - t0, 'ms');
}
