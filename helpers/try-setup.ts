export default function ({ provide }: any) { provide('mysqlServers', [{ host: '127.0.0.1', port: Number(process.env.PORT ?? 33999), user: 'root', password: 'pw' }]); }
