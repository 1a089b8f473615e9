/*
kata: custom-streams
breaks: all
tries: to give the judge another node:stream
says: module.registerHooks is not open
*/
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === 'node:stream' ? 'data:text/javascript,' : specifier, context),
});
