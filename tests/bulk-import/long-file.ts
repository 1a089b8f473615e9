import { type Document, documentOf, plainProducts } from './documents.ts';
import { Importer, type Stage } from './importer.ts';

/** A file with so many rows that a module which commits now and then has committed before its end. */
export interface LongFile {
  readonly document: Document;
  readonly rows: number;
  /** How many bytes the module sends for each row. */
  readonly bytesPerRow: number;
}

const sampleRows = 2000;
/** Some modules commit every 50,000 rows. */
const usualRows = 60_000;
/** For a module that sends hundreds of statements for the sample. That breaks promise 2, and the usual file would take it minutes. */
const rowsForManyStatements = 3000;

/** Chooses the long file after an import of 2,000 rows. */
export async function longFileFor(stage: Stage): Promise<LongFile> {
  await using importer = await Importer.open(stage);
  await stage.table.empty();
  await importer.imports(documentOf(plainProducts(sampleRows)));
  const { statements, bytesSent } = importer.proxy;
  const rows = statements > sampleRows / 10 ? rowsForManyStatements : usualRows;
  return { document: documentOf(plainProducts(rows)), rows, bytesPerRow: bytesSent / sampleRows };
}
