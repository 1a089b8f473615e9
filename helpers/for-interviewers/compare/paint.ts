/** Puts a colour around a text, or not. */
export type Paint = (style: 'bold' | 'red' | 'green' | 'cyan', text: string) => string;
