<?php

declare(strict_types=1);

namespace PhaseBased\Plasm;

use PhaseBased\Plasm\Exception\MalformedException;

/**
 * The forms that fields of manifests and receipts may have, and the check of a whole object.
 *
 * @internal
 */
final class Fields
{
    private const TEXTS = [
        'hash' => '/\Asha256:[0-9a-f]{64}\z/',
        'hash or nothing' => '/\A(?:sha256:[0-9a-f]{64})?\z/',
        'uuid' => '/\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z/',
        'nonce' => '/\A[0-9a-f]{32}\z/',
        'arch' => '~\A[A-Za-z0-9._+/-]{1,32}\z~',
        'arch or nothing' => '~\A[A-Za-z0-9._+/-]{0,32}\z~',
        'runtime' => '~\A[A-Za-z0-9._+/-]{1,64}\z~',
        'runtime or nothing' => '~\A[A-Za-z0-9._+/-]{0,64}\z~',
        'peer id' => '/\A12D3KooW[1-9A-HJ-NP-Za-km-z]{44}\z/',
    ];

    /**
     * Refuses an object that lacks a field, has one more, or one of another form.
     *
     * @param array<array-key, mixed> $object
     * @param array<string, string|list<string>> $forms for every field the name of its form, or the
     *                                                  texts it may be
     * @throws MalformedException that names the field
     */
    public static function check(string $what, array $object, array $forms): void
    {
        foreach ($forms as $field => $form) {
            if (!array_key_exists($field, $object)) {
                throw new MalformedException("$what: $field is missing");
            }
            $holds = is_array($form)
                ? in_array($object[$field], $form, true)
                : self::hasForm($object[$field], $form);
            if (!$holds) {
                $wanted = is_array($form) ? 'one of ' . implode(', ', $form) : $form;
                throw new MalformedException("$what: $field is not what it must be ($wanted)");
            }
        }
        foreach (array_keys(array_diff_key($object, $forms)) as $field) {
            throw new MalformedException("$what: $field is no field of it");
        }
    }

    private static function hasForm(mixed $value, string $form): bool
    {
        return match ($form) {
            'integer' => is_int($value) && abs($value) <= CanonicalJson::INTEGER_MAX,
            'count' => self::hasForm($value, 'integer') && $value >= 0,
            'positive' => self::hasForm($value, 'integer') && $value >= 1,
            'object' => is_array($value) && !array_is_list($value),
            'texts' => self::isListOf($value, self::isText(...)),
            'hashes' => self::isListOf($value, fn (mixed $item): bool => self::hasForm($item, 'hash')),
            default => is_string($value) && preg_match(self::TEXTS[$form], $value) === 1,
        };
    }

    /**
     * @param callable(mixed): bool $holds
     */
    private static function isListOf(mixed $value, callable $holds): bool
    {
        return is_array($value)
            && array_is_list($value)
            && array_filter($value, $holds) === $value;
    }

    private static function isText(mixed $value): bool
    {
        return is_string($value) && !str_contains($value, "\0") && preg_match('//u', $value) === 1;
    }
}
