<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Unit;

use PhaseBased\Plasm\CanonicalJson;
use PhaseBased\Plasm\Exception\InvalidRequestException;
use PhaseBased\Plasm\Exception\MalformedException;
use PHPUnit\Framework\TestCase;

/**
 * The one spelling of a value, and strict reading of any other.
 */
final class CanonicalJsonTest extends TestCase
{
    /**
     * @dataProvider values
     */
    public function testEncodes(mixed $value, string $expected): void
    {
        self::assertSame($expected, CanonicalJson::encode($value));
    }

    /**
     * @return iterable<string, array{mixed, string}>
     */
    public static function values(): iterable
    {
        yield 'null' => [null, 'null'];
        yield 'true' => [true, 'true'];
        yield 'false' => [false, 'false'];
        yield 'zero' => [0, '0'];
        yield 'largest integer' => [9007199254740991, '9007199254740991'];
        yield 'smallest integer' => [-9007199254740991, '-9007199254740991'];
        yield 'empty list' => [[], '[]'];
        yield 'empty object' => [new \stdClass(), '{}'];
        yield 'object' => [(object) ['b' => 1, 'a' => [2]], '{"a":[2],"b":1}'];
        yield 'keys are sorted at every depth' => [['b' => ['d' => 1, 'c' => 2]], '{"b":{"c":2,"d":1}}'];
        yield 'a prefix comes first' => [['ab' => 1, 'a' => 2, '' => 3], '{"":3,"a":2,"ab":1}'];
        yield 'upper case comes first' => [['a' => 1, 'B' => 2, '_' => 3], '{"B":2,"_":3,"a":1}'];
        yield 'number-like keys are text' => [['10' => 1, '9' => 2], '{"10":1,"9":2}'];
        // RFC 8785, section 3.2.3, without its escaped control character.
        yield 'UTF-16 order' => [
            ["\u{20ac}" => 1, "\r" => 2, "\u{fb33}" => 3, '1' => 4, "\u{1f600}" => 5, "\u{80}" => 6, "\u{f6}" => 7],
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}",
        ];
        // RFC 8785, section 3.2.2.2.
        yield 'escapes' => [
            "\u{20ac}\$\u{0f}\nA'\u{42}\u{22}\u{5c}\\\"/",
            "\"\u{20ac}\$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"",
        ];
        yield 'short escapes' => ["\x08\t\n\x0c\r\x1f\x7f", "\"\\b\\t\\n\\f\\r\\u001f\x7f\""];
        yield 'line separators stay' => ["\u{2028}\u{2029}", "\"\u{2028}\u{2029}\""];
    }

    /**
     * @dataProvider valuesWithoutForm
     */
    public function testRefusesToEncode(mixed $value): void
    {
        $this->expectException(InvalidRequestException::class);
        CanonicalJson::encode($value);
    }

    /**
     * @return iterable<string, array{mixed}>
     */
    public static function valuesWithoutForm(): iterable
    {
        yield 'real' => [1.5];
        yield 'real without fraction' => [1.0];
        yield 'too large' => [9007199254740992];
        yield 'too small' => [-9007199254740992];
        yield 'smallest of all' => [PHP_INT_MIN];
        yield 'not UTF-8' => ["\xff"];
        yield 'a surrogate' => ["\xed\xa0\x80"];
        yield 'NUL' => ["a\0b"];
        yield 'NUL in a key' => [["a\0b" => 1]];
        yield 'key that is not UTF-8' => [["\xff" => 1]];
        yield 'object' => [new \DateTime()];
        yield 'closure' => [static fn () => 1];
        yield 'too deep' => [self::nested(17)];
        yield 'endless' => [self::endless()];
    }

    public function testDeepestNesting(): void
    {
        $json = CanonicalJson::encode(self::nested(16));
        self::assertSame(str_repeat('[', 16) . str_repeat(']', 16), $json);
        self::assertSame(self::nested(16), CanonicalJson::decode($json));
    }

    public function testReadsAnySpellingAndWritesOne(): void
    {
        $text = " {\"b\" : [1, {\"d\":{}, \"c\":[]}],\n\"\\u0061\":\"\\u00e9\\/\" , \"t\":true}\t";
        self::assertSame(
            '{"a":"é/","b":[1,{"c":[],"d":{}}],"t":true}',
            CanonicalJson::encode(CanonicalJson::decode($text))
        );
    }

    /**
     * @dataProvider badTexts
     */
    public function testRefusesToDecode(string $text): void
    {
        $this->expectException(MalformedException::class);
        CanonicalJson::decode($text);
    }

    /**
     * @return iterable<string, array{string}>
     */
    public static function badTexts(): iterable
    {
        yield 'empty' => [''];
        yield 'trailing bytes' => ['{} {}'];
        yield 'trailing comma' => ['[1,]'];
        yield 'real' => ['[1.5]'];
        yield 'exponent' => ['[1e3]'];
        yield 'too large' => ['[9007199254740992]'];
        yield 'far too large' => ['[123456789012345678901234567890]'];
        yield 'duplicate key' => ['{"a":1,"a":1}'];
        yield 'duplicate key in another spelling' => ['{"a":1,"\u0061":2}'];
        yield 'duplicate key deep inside' => ['[{"b":[{"a":{},"x":":","a":{}}]}]'];
        yield 'duplicate key after a nested object with it' => ['{"a":{"a":1},"b":[{"a":1}],"a":2}'];
        yield 'NUL' => ['["\u0000"]'];
        yield 'NUL in a key' => ['{"a\u0000":1}'];
        yield 'key that begins with NUL' => ['{"\u0000a":1}'];
        yield 'numeric key' => ['{"0":1}'];
        yield 'lone surrogate' => ['["\ud800"]'];
        yield 'not UTF-8' => ["[\"\xff\"]"];
        yield 'too deep' => [str_repeat('[', 17) . str_repeat(']', 17)];
        yield 'not closed' => ['{"a":1'];
    }

    public function testTakesEqualKeysOfDifferentObjects(): void
    {
        $value = CanonicalJson::decode('{"a":{"a":1},"b":[{"a":1},{"a":"a"}],"c":"\"a\":"}');
        self::assertSame(['a' => ['a' => 1], 'b' => [['a' => 1], ['a' => 'a']], 'c' => '"a":'], $value);
    }

    /**
     * Every pair of characters is ordered as UTF-16BE, made independently, is.
     */
    public function testOrderOfKeysAgainstUtf16(): void
    {
        $codes = [0x20, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x1f600, 0x10ffff];
        foreach ($codes as $a) {
            foreach ($codes as $b) {
                if ($a === $b) {
                    continue;
                }
                $json = CanonicalJson::encode(['k' . self::character($a) => 1, 'k' . self::character($b) => 2]);
                $aIsFirst = strpos($json, ':1') < strpos($json, ':2');
                self::assertSame(strcmp(self::utf16($a), self::utf16($b)) < 0, $aIsFirst, dechex($a) . dechex($b));
            }
        }
    }

    private static function utf16(int $code): string
    {
        return $code < 0x10000
            ? pack('n', $code)
            : pack('nn', 0xd800 + (($code - 0x10000) >> 10), 0xdc00 + (($code - 0x10000) & 0x3ff));
    }

    private static function character(int $code): string
    {
        return (string) json_decode('"' . self::escaped($code) . '"');
    }

    private static function escaped(int $code): string
    {
        return implode('', array_map(static fn (int $unit): string => sprintf('\u%04x', $unit), array_values(
            unpack('n*', self::utf16($code))
        )));
    }

    /**
     * @return array<mixed>
     */
    private static function nested(int $depth): array
    {
        $value = [];
        for ($i = 1; $i < $depth; $i++) {
            $value = [$value];
        }
        return $value;
    }

    /**
     * @return array<mixed>
     */
    private static function endless(): array
    {
        $value = ['self' => null];
        $value['self'] = &$value;
        return $value;
    }
}
