/** The packages that a kata's module may import, beside Node's own modules; package.json has them as `dependencies`. */
export const allowedPackages = ['mysql2', 'socket.io', 'undici'] as const;
