<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Exception\InvalidRequestException;
use PhaseBased\Plasm\Exception\MalformedException;

/**
 * Canonical JSON: RFC 8785, restricted to objects, lists, UTF-8 strings without NUL, integers within
 * +-(2^53-1), booleans and null. Two values are the same exactly when their canonical forms are, in
 * every language; this is what is hashed and signed.
 */
final class CanonicalJson
{
    public const INTEGER_MAX = 9007199254740991;
    public const DEPTH_MAX = 16;

    /**
     * The canonical form. A PHP list is a JSON list, any other array an object; an empty array is an
     * empty list, and an empty object is `new \stdClass()`.
     *
     * @throws InvalidRequestException when the value has none
     */
    public static function encode(mixed $value): string
    {
        return self::encodeValue($value, 0);
    }

    /**
     * Reads a text, in any spelling, as arrays (empty objects as `\stdClass`, so that they are not
     * taken for lists).
     *
     * @throws MalformedException for bad JSON, duplicate keys, real numbers, integers out of range,
     *                            NUL in strings, nesting deeper than DEPTH_MAX
     */
    public static function decode(string $text): mixed
    {
        try {
            $value = json_decode($text, false, self::DEPTH_MAX + 1, JSON_THROW_ON_ERROR);
        } catch (\JsonException $exception) {
            throw new MalformedException('not JSON: ' . $exception->getMessage(), 0, $exception);
        }
        self::refuseDuplicateKeys($text);
        return self::normalise($value);
    }

    private static function encodeValue(mixed $value, int $depth): string
    {
        if (is_array($value) || $value instanceof \stdClass) {
            if ($depth >= self::DEPTH_MAX) {
                throw new InvalidRequestException('canonical JSON: nested too deeply');
            }
            return is_array($value) && array_is_list($value)
                ? self::encodeList($value, $depth)
                : self::encodeObject((array) $value, $depth);
        }
        if (is_string($value)) {
            return self::encodeString($value);
        }
        if (is_int($value)) {
            if (abs($value) > self::INTEGER_MAX) {
                throw new InvalidRequestException("canonical JSON: $value is out of range");
            }
            return (string) $value;
        }
        return match ($value) {
            true => 'true',
            false => 'false',
            null => 'null',
            default => throw new InvalidRequestException(
                'canonical JSON: no form for a ' . get_debug_type($value)
            ),
        };
    }

    /**
     * @param list<mixed> $list
     */
    private static function encodeList(array $list, int $depth): string
    {
        $members = [];
        foreach ($list as $member) {
            $members[] = self::encodeValue($member, $depth + 1);
        }
        return '[' . implode(',', $members) . ']';
    }

    /**
     * @param array<array-key, mixed> $object
     */
    private static function encodeObject(array $object, int $depth): string
    {
        $keys = array_map('strval', array_keys($object));
        usort($keys, self::compareKeys(...));
        $members = [];
        foreach ($keys as $key) {
            $members[] = self::encodeString($key) . ':' . self::encodeValue($object[$key], $depth + 1);
        }
        return '{' . implode(',', $members) . '}';
    }

    private static function encodeString(string $string): string
    {
        if (str_contains($string, "\0")) {
            throw new InvalidRequestException('canonical JSON: NUL in a string');
        }
        // These three make PHP's escapes exactly those of RFC 8785, section 3.2.2.2.
        $flags = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_LINE_TERMINATORS;
        try {
            return json_encode($string, $flags | JSON_THROW_ON_ERROR);
        } catch (\JsonException $exception) {
            throw new InvalidRequestException('canonical JSON: a string is not UTF-8', 0, $exception);
        }
    }

    /**
     * The order of UTF-16 code units. It is the order of UTF-8 bytes but for one thing: characters
     * above U+FFFF come before U+E000 to U+FFFF, because surrogates are lower than those.
     */
    private static function compareKeys(string $a, string $b): int
    {
        $size = min(strlen($a), strlen($b));
        for ($at = 0; $at < $size; $at++) {
            if ($a[$at] !== $b[$at]) {
                return self::utf16Weight(ord($a[$at])) <=> self::utf16Weight(ord($b[$at]));
            }
        }
        return strlen($a) <=> strlen($b);
    }

    private static function utf16Weight(int $byte): int
    {
        return match (true) {
            $byte >= 0xf0 => $byte - 2,          // lead bytes above U+FFFF: 0xee to 0xf2
            $byte >= 0xee => $byte + 0x10,       // lead bytes of U+E000 to U+FFFF: after them
            default => $byte,
        };
    }

    private static function normalise(mixed $value): mixed
    {
        if (is_float($value)) {
            throw new MalformedException('JSON: a number is not an integer within +-(2^53-1)');
        }
        if (is_int($value) && abs($value) > self::INTEGER_MAX) {
            throw new MalformedException("JSON: $value is out of range");
        }
        if (is_string($value) && str_contains($value, "\0")) {
            throw new MalformedException('JSON: NUL in a string');
        }
        if ($value instanceof \stdClass) {
            $members = [];
            foreach ((array) $value as $key => $member) {
                if (is_int($key)) {
                    // PHP would make such keys a list's; no document of ours has them.
                    throw new MalformedException("JSON: the key \"$key\" is a number");
                }
                if (str_contains($key, "\0")) {
                    throw new MalformedException('JSON: NUL in a key');
                }
                $members[$key] = self::normalise($member);
            }
            return $members === [] ? $value : $members;
        }
        return is_array($value) ? array_map(self::normalise(...), $value) : $value;
    }

    /**
     * PHP's own reader takes the last of two equal keys in silence, another reader may take the first.
     *
     * @param string $text well-formed JSON
     */
    private static function refuseDuplicateKeys(string $text): void
    {
        $found = preg_match_all('/"[^"\\\\]*+(?:\\\\.[^"\\\\]*+)*+"|[{}\[\]:,]/s', $text, $matches);
        if ($found === false) {
            throw new MalformedException('JSON: ' . preg_last_error_msg());
        }
        $seen = [];
        $depth = 0;
        $tokens = $matches[0];
        foreach ($tokens as $index => $token) {
            if ($token === '{') {
                $seen[++$depth] = [];
            } elseif ($token === '[') {
                $depth++;
            } elseif ($token === '}' || $token === ']') {
                $depth--;
            } elseif ($token[0] === '"' && ($tokens[$index + 1] ?? '') === ':') {
                $key = json_decode($token);
                if (isset($seen[$depth][$key])) {
                    throw new MalformedException("JSON: the key $token is there twice");
                }
                $seen[$depth][$key] = true;
            }
        }
    }
}
